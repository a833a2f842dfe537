/* The state of a pipe: ready, stale or broken. */
import { h } from "./dom.js";

/** [state, sentence] of a stale or broken pipe; null for a ready one. */
export function stateOf(pipe) {
    if (pipe.ready === false) return ["broken", "its file has an error, and no valid text was ever loaded"];
    return pipe.stale ? ["stale", "its file has an error; the last valid text still answers"] : null;
}

export const stateMark = (pipe) => {
    const [state, sentence] = stateOf(pipe) ?? ["ready", "its file has no errors"];
    return h(`span.state.${state}`, { title: sentence }, state);
};
