/* How a pipe stands: ready, stale or broken. */
import { h } from "./dom.js";

/** How a pipe stands, as [word for the mark, sentence]; nothing for one that is well. */
export function stateOf(pipe) {
    if (pipe.ready === false) return ["broken", "its file has a fault, and it never answered"];
    return pipe.stale ? ["stale", "its file has a fault; the last good text answers"] : null;
}

export const stateMark = (pipe) => {
    const [word, sentence] = stateOf(pipe) ?? ["ready", "answers from its file as it is"];
    return h(`span.state.${word}`, { title: sentence }, word);
};
