"""The rig on two shards: the same stream and the same proof, of the rows of both together and of the counts of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from alsobought.service.maintenance import run_task
from alsobought.service.service import open_service
from alsobought.settings import Settings
from alsobought.storage.cluster import open_cluster
from alsobought.storage.topology import shard_index
from tests.faults.proof import (
    Findings,
    TopicLog,
    compare_counts,
    compare_dead_letters,
    compare_events,
    compare_order,
    compare_ranges,
    rows_of,
)
from tests.faults.rig import Rig
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.kafka import Topics
from tests.support.shards import CLUSTER, DATABASE, migrated_shards, shards_setting


@dataclass
class ClusterRig(Rig):
    """`dsn` is that of the first shard, which has Kafka's offsets."""

    servers: Sequence[ClickHouseServer] = ()

    @property
    def database(self) -> str:
        return DATABASE

    @property
    def app_settings(self) -> Settings:
        shards = shards_setting(self.servers)
        return Settings(**self.topics.settings, shards=shards, cluster=CLUSTER, database=DATABASE)  # type: ignore[arg-type]

    def environment(self, **settings: str) -> dict[str, str]:
        ours = {"ALSOBOUGHT_SHARDS": shards_setting(self.servers), "ALSOBOUGHT_CLUSTER": CLUSTER}
        return {**super().environment(**settings), **ours, "ALSOBOUGHT_DSN": ""}

    def _findings(self, log: TopicLog) -> Findings:
        """After a start that makes the rows of serving tables that the last process left to it."""
        service = open_service(msgspec.structs.replace(self.app_settings, kafka=""))
        try:
            while run_task(service.writer, "refresh serving tables", 5.0):
                pass
        finally:
            service.close()
        cluster = open_cluster(self.app_settings)
        try:
            findings, all_rows = Findings(), []
            for index, shard in enumerate(cluster.shards):
                rows = list(rows_of(shard, log.source))
                strangers = {
                    row["user_id"] for row in rows if shard_index(row["user_id"], len(cluster.shards)) != index
                }
                findings.report(f"users of shard {index + 1} belong to another", strangers)
                compare_order(rows, findings)
                compare_counts(rows, shard, findings)
                all_rows += rows
            findings.stored = len(all_rows)
            compare_events(log, all_rows, findings)
            compare_dead_letters(log, cluster.shards[0], findings)
            compare_ranges(log, cluster.shards[0], findings)
            return findings
        finally:
            cluster.close()


@contextmanager
def cluster_rig(topics: Topics, folder: Path, **settings: str) -> Iterator[ClusterRig]:
    """A rig on two shards of its own. The topics are created."""
    topics.create()
    with migrated_shards(folder / "shards") as servers, ExitStack() as stack:
        made = ClusterRig(topics, folder, servers[0].dsn, servers=servers)
        made.settings = {f"ALSOBOUGHT_{name.upper()}": value for name, value in settings.items()}
        try:
            yield made
        finally:
            for ingester in made.ingesters:
                stack.callback(ingester.close)
