-- Messages of analytics tools that hold no event for us, such as page calls. messages = stored + repeats + refused + skipped.
alter table {{ database }}.ingest_ranges add column skipped UInt64 after refused
