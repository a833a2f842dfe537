/* The server, as seen from the page: list the pipes, ask one, post events. Every failure is an ApiError. */

const PATIENCE_MS = 20000;
const known = new Map();

export class ApiError extends Error {
    constructor(message, { code = null, hint = null, details = [], status = 0, requestId = null } = {}) {
        super(message);
        Object.assign(this, { code, hint, details, status, requestId });
    }
}

const absolute = (path) => new URL(path, document.baseURI).href;

async function fetchJson(address, options) {
    let response;
    let body = null;
    try {
        response = await fetch(address, { signal: AbortSignal.timeout(PATIENCE_MS), ...options });
        body = await response.json().catch(() => null);
    } catch {
        throw new ApiError("The server does not answer.", { hint: "Check that it is running, then try again." });
    }
    if (response.ok && body) return body;
    const { message, ...rest } = body?.error ?? {};
    throw new ApiError(message ?? `The server answered ${response.status} without saying why.`,
        { ...rest, details: rest.details ?? [], status: response.status, requestId: body?.request_id });
}

export async function loadPipes() {
    const { pipes } = await fetchJson(absolute("pipes"), { cache: "no-cache" });
    known.clear();
    for (const pipe of pipes) known.set(pipe.name, pipe);
    return pipes;
}

/** The pipe of that name, if it can be asked. */
export const readyPipe = (name) => (known.get(name)?.ready === false ? undefined : known.get(name));

/** The full address of one request; parameters are [name, value] pairs, so a name may repeat. */
export function address(pipe, pairs, suffix = "") {
    const query = new URLSearchParams(pairs).toString();
    return absolute(`pipes/${encodeURIComponent(pipe)}${suffix}`) + (query && `?${query}`);
}

/** Ask a pipe. `fresh` asks the server to pass over its cache, as one must right after posting an event. */
export async function ask(pipe, pairs, { fresh = false } = {}) {
    const started = performance.now();
    const answer = await fetchJson(address(pipe, pairs), { cache: fresh ? "no-store" : "no-cache" });
    return { ...answer, roundTrip: performance.now() - started };
}

/** Ask a pipe for what it can take of `wanted`: what it does not declare is left out, numbers stay in range. */
export function askFor(name, wanted, options) {
    const pipe = readyPipe(name);
    if (!pipe) throw new ApiError("Not available just now.", { hint: `pipes/${name}.sql is missing or broken.` });
    const pairs = pipe.parameters
        .filter((one) => wanted[one.name] !== undefined)
        .map((one) => [one.name, one.maximum === null || typeof wanted[one.name] !== "number"
            ? wanted[one.name] : Math.min(wanted[one.name], one.maximum)]);
    return ask(name, pairs, options);
}

/** Post events and come back when the recommendations see them. */
export async function post(events) {
    const body = await fetchJson(absolute("events?wait=true"), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(events.length === 1 ? events[0] : events),
    });
    if (body.rejected?.length) throw new ApiError(`The server refused the event: ${body.rejected[0].problem}`);
    return body;
}
