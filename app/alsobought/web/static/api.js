/* The HTTP client of the page: list pipes, run one, post events. Every failure is an ApiError. */

const TIMEOUT_MS = 20000;
const LIST_TIMEOUT_MS = 60000; // the first list after a start validates every pipe
const EDIT_TIMEOUT_MS = 70000; // cases may run for a minute
const pipesByName = new Map();

export class ApiError extends Error {
    constructor(message, { code = null, hint = null, details = [], status = 0, requestId = null } = {}) {
        super(message);
        Object.assign(this, { code, hint, details, status, requestId });
    }
}

const absolute = (path) => new URL(path, document.baseURI).href;

async function send(address, options) {
    let response;
    let body = null;
    try {
        response = await fetch(address, { signal: AbortSignal.timeout(TIMEOUT_MS), ...options });
        body = await response.json().catch(() => null);
    } catch (error) {
        const message = error.name === "TimeoutError" ? "The server did not respond in time." : "Cannot reach the server.";
        throw new ApiError(message, { hint: "Check that it is running, then try again." });
    }
    if (response.ok && body) return { body, headers: response.headers };
    const { message, ...rest } = body?.error ?? {};
    throw new ApiError(message ?? `The server responded with status ${response.status}.`,
        { ...rest, details: rest.details ?? [], status: response.status, requestId: body?.request_id });
}

const fetchJson = async (address, options) => (await send(address, options)).body;

export async function loadPipes() {
    const { pipes } = await fetchJson(absolute("pipes"), { cache: "no-cache", signal: AbortSignal.timeout(LIST_TIMEOUT_MS) });
    pipesByName.clear();
    for (const pipe of pipes) pipesByName.set(pipe.name, pipe);
    return pipes;
}

export const allPipes = () => [...pipesByName.values()];
export const findPipe = (name) => pipesByName.get(name);

/** The pipe of that name, if it can answer. */
export const readyPipe = (name) => (pipesByName.get(name)?.ready === false ? undefined : pipesByName.get(name));

/** The URL of a request; parameters are [name, value] pairs, so a name may repeat. */
export function address(pipe, pairs, suffix = "") {
    const query = new URLSearchParams(pairs).toString();
    return absolute(`pipes/${encodeURIComponent(pipe)}${suffix}`) + (query && `?${query}`);
}

/** Run a pipe. `fresh` bypasses the server's cache. */
export async function run(pipe, pairs, { fresh = false } = {}) {
    const started = performance.now();
    const { body, headers } = await send(address(pipe, pairs), { cache: fresh ? "no-store" : "no-cache" });
    return { ...body, roundTrip: performance.now() - started, cached: /; hit/.test(headers.get("Cache-Status") ?? "") };
}

/** The values that a pipe accepts: undeclared parameters are left out, numbers are clamped to the maximum. */
const pairsFor = (pipe, values) => pipe.parameters
    .filter(({ name }) => values[name] !== undefined)
    .map(({ name, maximum }) => [name, maximum === null || typeof values[name] !== "number"
        ? values[name] : Math.min(values[name], maximum)]);

/** Run a pipe with those of the values that it accepts. */
export function runWith(name, values, options) {
    const pipe = readyPipe(name);
    if (!pipe) throw new ApiError("Not available.", { hint: `pipes/${name}.sql is missing or broken.` });
    return run(name, pairsFor(pipe, values), options);
}

/** Post events; resolves once answers contain them. */
export async function post(events) {
    const body = await fetchJson(absolute("events?wait=true"), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(events.length === 1 ? events[0] : events),
    });
    if (body.rejected?.length) throw new ApiError(`The server rejected the event: ${body.rejected[0].problem}`);
    if (body.dropped) {
        throw new ApiError(`The server dropped the event: this browser is a known bot, ${body.dropped_bots[0]}.`,
            { hint: "sql/bots.csv lists them; ALSOBOUGHT_DROP_BOTS=false lets all in." });
    }
    return body;
}

// ---- the workbench: SQL, lineage, live events, and editing

const workbenchUrl = (path, pairs = []) => absolute(`workbench${path}`) + (pairs.length ? `?${new URLSearchParams(pairs)}` : "");
const pipePath = (name, suffix = "") => `/pipes/${encodeURIComponent(name)}${suffix}`;

/** {open, edit, post, audit, key_needed, session, name, role}: what this browser may do, whether it must or did log in, and who did. */
export const loadWorkbench = () => fetchJson(workbenchUrl(""));
export const loadSource = (name) => fetchJson(workbenchUrl(pipePath(name)));
export const loadSql = (name, pairs) => fetchJson(workbenchUrl(pipePath(name, "/sql"), pairs));
export const loadPlan = (name, pairs) => fetchJson(workbenchUrl(pipePath(name, "/plan"), pairs));
/** The live status, and in `answer` the answer of this pipe, if it exists. */
export const loadLive = (name, values) =>
    fetchJson(workbenchUrl("/live", readyPipe(name) ? [["pipe", name], ...pairsFor(readyPipe(name), values)] : []));

/** Why a user saw the list with this request_id or recommendation_id. */
export const loadWhy = async (id) => (await fetchJson(workbenchUrl(`/why/${encodeURIComponent(id)}`), { cache: "no-store" })).why;
/** The experiments of the project; the decision of one. */
export const loadExperiments = () => fetchJson(workbenchUrl("/experiments"));
export const loadExperiment = (name) => fetchJson(workbenchUrl(`/experiments/${encodeURIComponent(name)}`));

/** The entries of the audit log. */
export const loadAudit = (pairs) => fetchJson(`${absolute("audit")}?${new URLSearchParams(pairs)}`, { cache: "no-store" });

/** Exchange a key for a cookie; end the session. */
export const logIn = (key) => fetchJson(workbenchUrl("/session"), { method: "POST", headers: { Authorization: `Bearer ${key}` } });
export const logOut = () => fetchJson(workbenchUrl("/session"), { method: "DELETE" });

const postEdit = (name, suffix, body = {}) => fetchJson(workbenchUrl(pipePath(name, suffix)), {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Workbench": "1" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(EDIT_TIMEOUT_MS),
});

const grouped = (pairs) => {
    const groups = {};
    for (const [name, value] of pairs) (groups[name] ??= []).push(value);
    return groups;
};

/** Check an unsaved text, preview its answer, save it, run the cases of the saved text. */
export const checkDraft = (name, text) => postEdit(name, "/draft", { text });
export const previewDraft = (name, text, pairs) => postEdit(name, "/preview", { text, parameters: grouped(pairs) });
export const saveDraft = (name, text, basedOn) => postEdit(name, "/save", { text, based_on: basedOn });
export const runCases = (name) => postEdit(name, "/cases");
