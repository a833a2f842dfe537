{#- What an item is by its catalogue, as texts that two items may share: words of the title, the brand, the category and those
    above it. -#}
{%- macro traits(title, category, brand) -%}
    arrayDistinct(
        arrayConcat(
            arrayMap(word -> concat('word ', word), tokens(lowerUTF8({{ title }}))),
            if(empty({{ brand }}), [], [concat('brand ', {{ brand }})]),
            arrayFilter(
                path -> path != 'category ',
                arrayMap(
                    (part, depth) -> concat(
                        'category ',
                        arrayStringConcat(arraySlice(splitByChar('/', {{ category }}), 1, depth), '/')
                    ),
                    splitByChar('/', {{ category }}),
                    arrayEnumerate(splitByChar('/', {{ category }}))
                )
            )
        )
    )
{%- endmacro -%}
