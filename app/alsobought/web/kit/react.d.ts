import type { FunctionComponent, HTMLAttributes, ReactNode, RefCallback } from "react";
import type { Answer, Item, Parameters, Surface } from "alsobought";

/** The items of a surface, or of `{pipe: "name"}`. Asked again when the consent or the user changes. */
export function useRecommendations(
    surface: Surface,
    parameters?: Parameters,
): { items: Item[]; answer: Answer | null; error: Error | null; loading: boolean };
/** A `ref` for the element that shows this item: its impression and clicks are reported. */
export function useImpression(item: Item): RefCallback<Element>;

export interface ShelfProps extends HTMLAttributes<HTMLElement> {
    surface?: string;
    /** Instead of a surface. */
    pipe?: string;
    item?: string;
    limit?: number;
    heading?: string;
    parameters?: Record<string, string>;
    /** The shop's own card; without it the default shelf is shown. */
    renderItem?: (item: Item) => ReactNode;
}

export const Shelf: FunctionComponent<ShelfProps>;
