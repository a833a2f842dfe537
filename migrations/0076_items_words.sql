-- What find_items looks through: id, titles, brand and tags of an item in lower case, without accents, every word after a space.
-- sql/macros/words.sql folds the words of a request in the same way.
alter table {{ database }}.items add column words String default concat(
    ' ',
    replaceRegexpAll(
        replaceRegexpAll(
            normalizeUTF8NFKD(
                translateUTF8(
                    replaceAll(
                        replaceAll(
                            replaceAll(
                                lowerUTF8(
                                    arrayStringConcat(
                                        arrayConcat([item_id, title], mapValues(titles), [brand], tags), ' '
                                    )
                                ),
                                'ß',
                                'ss'
                            ),
                            'æ',
                            'ae'
                        ),
                        'œ',
                        'oe'
                    ),
                    'øłđı',
                    'oldi'
                )
            ),
            '\\p{Mn}+',
            ''
        ),
        '[^\\p{L}\\p{N}%]+',
        ' '
    )
)
