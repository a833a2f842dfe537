{#- The words of a text in lower case, without accents and punctuation, ß as ss: as `catalogue.words` has those of an item. -#}
{%- macro words_of(text) -%}
    extractAll(
        replaceRegexpAll(
            normalizeUTF8NFKD(
                translateUTF8(
                    replaceAll(
                        replaceAll(replaceAll(lowerUTF8({{ text }}), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'
                    ),
                    'øłđı',
                    'oldi'
                )
            ),
            '\\p{Mn}+',
            ''
        ),
        '[\\p{L}\\p{N}%]+'
    )
{%- endmacro -%}
