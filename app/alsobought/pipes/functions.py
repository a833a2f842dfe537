"""The allow-list of functions, in groups, with the reason why each group is safe.

A listed function is pure: the same arguments give the same value, and it reads no file, network, clock,
server state, setting, other table, thread or block. `alsobought pipe functions` prints this list. Names
are compared in lower case; ClickHouse itself checks their case. A new name needs a group whose reason
applies to it.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache

AGGREGATES = {
    "Aggregates: they read the rows of their group and nothing else": """
        any any_value anyHeavy anyLast argAndMax argAndMin argMax argMin avg avgWeighted boundingRatio corr corrStable count
        covarPop covarSamp cramersV cramersVBiasCorrected deltaSum deltaSumTimestamp entropy first_value gini groupArray
        groupArrayInsertAt groupArrayIntersect groupArrayLast groupArrayMovingAvg groupArrayMovingSum groupArraySorted
        groupBitAnd groupBitOr groupBitXor groupBitmap groupConcat groupUniqArray histogram intervalLengthSum kurtPop kurtSamp
        last_value max max_by maxIntersections median medianExact medianExactWeighted min min_by quantile quantileDeterministic
        quantileExact quantileExactExclusive quantileExactHigh quantileExactInclusive quantileExactLow quantileExactWeighted
        quantileInterpolatedWeighted quantileTDigest quantileTDigestWeighted quantiles quantilesExact quantilesExactExclusive
        quantilesExactInclusive quantilesExactWeighted quantilesTDigest quantilesTDigestWeighted rankCorr retention
        simpleLinearRegression singleValueOrNull skewPop skewSamp stddevPop stddevPopStable stddevSamp stddevSampStable sum
        sumCount sumKahan sumWithOverflow theilsU topK topKWeighted uniq uniqCombined uniqCombined64 uniqExact uniqHLL12
        uniqUpTo varPop varPopStable varSamp varSampStable windowFunnel
        array_agg string_agg group_concat std stddev stddev_pop stddev_samp var_pop var_samp covar_pop covar_samp
        """,
}
COMBINATORS = """
    If Array Map Distinct ForEach OrNull OrDefault Resample ArgMin ArgMax State SimpleState Merge
    """.split()  # noqa: SIM905 - words are easier to read
"""Suffixes of aggregates, in any order and number: sumIf, uniqExactMerge, groupArrayDistinctIf."""

PLAIN = {
    "Window functions: they read the rows of their window, in its order": """
        cume_dist dense_rank denseRank exponentialTimeDecayedAvg exponentialTimeDecayedCount exponentialTimeDecayedMax
        exponentialTimeDecayedSum lag lagInFrame lead leadInFrame nonNegativeDerivative nth_value ntile percent_rank percentRank
        rank row_number
        """,
    "Arithmetic and rounding: numbers in, a number out": """
        abs byteSwap ceil ceiling clamp divide divideDecimal divideOrNull e floor gcd greatest ifNotFinite intDiv intDivOrNull
        intDivOrZero isFinite isInfinite isNaN lcm least max2 min2 minus mod modulo moduloOrNull moduloOrZero multiply
        multiplyDecimal negate pi plus positiveModulo round roundBankers roundDown roundToExp2 sqr trunc truncate
        """,
    "Mathematics: pure formulas": """
        acos acosh asin asinh atan atan2 atanh cbrt cos cosh degrees erf erfc exp exp10 exp2 factorial hypot intExp10 intExp2
        lgamma ln log log10 log1p log2 pow power radians sigmoid sign sin sinh sqrt tan tanh tgamma width_bucket widthBucket
        """,
    "Comparison, logic and choice: values in, one of them or a truth out": """
        and or not xor equals notEquals less lessOrEquals greater greaterOrEquals isDistinctFrom isNotDistinctFrom
        if multiIf assumeNotNull coalesce firstNonDefault ifNull isNotNull isNull isZeroOrNull nullIf toNullable transform
        """,
    "Arrays: they read the array that is given": """
        array arrayAUCPR arrayAUC arrayROCAUC arrayConcat arrayDistinct arrayDotProduct arrayElement arrayElementOrNull
        arrayEnumerate arrayEnumerateDense arrayEnumerateUniq arrayExcept arrayFlatten arrayIntersect arrayJaccardIndex
        arrayJoin arrayPopBack arrayPopFront arrayPushBack arrayPushFront arrayReduce arrayRemove arrayResize arrayReverse
        arrayRotateLeft arrayRotateRight arrayShiftLeft arrayShiftRight arraySimilarity arraySlice arrayStringConcat
        arraySymmetricDifference arrayUnion arrayUniq arrayWithConstant arrayZip countEqual empty emptyArrayDate
        emptyArrayDateTime emptyArrayFloat32 emptyArrayFloat64 emptyArrayInt32 emptyArrayInt64 emptyArrayString
        emptyArrayUInt32 emptyArrayUInt64 emptyArrayUInt8 flatten has hasAll hasAny hasSubstr indexOf length notEmpty range
        replicate reverse
        """,
    "Maps: they read the map that is given": """
        map mapAdd mapConcat mapContains mapContainsKey mapContainsValue mapFromArrays mapKeys mapSubtract mapUpdate mapValues
        """,
    "Tuples and vectors: they read the tuple or array that is given": """
        tuple tupleConcat tupleDivide tupleDivideByNumber tupleElement tupleHammingDistance tupleMinus tupleMultiply
        tupleMultiplyByNumber tupleNegate tuplePlus vectorDifference vectorSum
        cosineDistance distanceL1 distanceL2 dotProduct L1Distance L1Norm L1Normalize L2Distance L2Norm L2Normalize
        L2SquaredDistance L2SquaredNorm LinfDistance LinfNorm LpDistance LpNorm normL1 normL2 scalarProduct
        """,
    "Bits and bitmaps: integers in, integers out": """
        bitAnd bitCount bitHammingDistance bitNot bitOr bitShiftLeft bitShiftRight bitSlice bitTest bitTestAll bitTestAny bitXor
        bitmapAnd bitmapAndCardinality bitmapAndnot bitmapBuild bitmapCardinality bitmapContains bitmapHasAll bitmapHasAny
        bitmapMax bitmapMin bitmapOr bitmapOrCardinality bitmapToArray bitmapXor
        """,
    "Hashes: the same value has the same hash; chance that repeats is cityHash64(item_id, seed)": """
        cityHash64 farmHash64 halfMD5 intHash32 intHash64 javaHash jumpConsistentHash md5 metroHash64 murmurHash2_32
        murmurHash2_64 murmurHash3_32 murmurHash3_64 sha1 sha256 sipHash64 xxh3 xxHash32 xxHash64 CRC32 CRC64
        """,
    "Encodings: text in, text out": """
        base32Encode base58Encode base64Decode base64Encode base64URLEncode bin char hex tryBase64Decode unhex
        """,
    "Texts: they read the text that is given": """
        appendTrailingCharIfAbsent ascii concat concat_ws concatWithSeparator countSubstrings countSubstringsCaseInsensitive
        damerauLevenshteinDistance editDistance editDistanceUTF8 endsWith endsWithUTF8 initcap initcapUTF8 isValidUTF8
        jaroSimilarity jaroWinklerSimilarity lcase left leftPad leftPadUTF8 leftUTF8 lengthUTF8 char_length character_length
        levenshteinDistance locate lower lowerUTF8 lpad ltrim mid normalizeUTF8NFC normalizeUTF8NFD normalizeUTF8NFKC
        normalizeUTF8NFKD overlay overlayUTF8 position positionCaseInsensitive positionCaseInsensitiveUTF8 positionUTF8
        removeDiacriticsUTF8 repeat replace replaceAll replaceOne reverseUTF8 right rightPad rightPadUTF8 rightUTF8 rpad
        rtrim soundex space startsWith startsWithUTF8 stringJaccardIndex stringJaccardIndexUTF8 substr substring substringIndex
        substringIndexUTF8 substringUTF8 toValidUTF8 translate translateUTF8 trim trimBoth trimLeft trimRight ucase upper
        upperUTF8
        """,
    "Search in texts and their parts: they read the text and the pattern that are given": """
        alphaTokens countMatches countMatchesCaseInsensitive extract extractAll extractGroups hasSubsequence
        hasSubsequenceCaseInsensitive hasToken hasTokenCaseInsensitive hasTokenOrNull ilike like match
        multiSearchAny multiSearchAnyCaseInsensitive multiSearchAnyCaseInsensitiveUTF8 multiSearchAnyUTF8
        multiSearchFirstIndex multiSearchFirstPosition ngramDistance ngramDistanceCaseInsensitive ngramDistanceUTF8 ngrams
        ngramSearch ngramSearchCaseInsensitive ngramSearchUTF8 notILike notLike notMatch regexpExtract replaceRegexpAll
        replaceRegexpOne splitByChar splitByNonAlpha splitByRegexp splitByString splitByWhitespace tokens
        """,
    "Days and times that are given: the clock is {{ now }}": """
        addDate addDays addHours addMinutes addMonths addQuarters addSeconds addWeeks addYears age date dateAdd date_add
        dateDiff date_diff date_format dateName dateSub date_sub dateTrunc date_trunc day dayOfMonth dayOfWeek dayOfYear
        formatDateTime fromUnixTimestamp from_unixtime fromUnixTimestamp64Micro fromUnixTimestamp64Milli
        fromUnixTimestamp64Second hour last_day makeDate makeDateTime millisecond minute month monthName parseDateTime
        parseDateTimeBestEffort parseDateTimeBestEffortOrNull parseDateTimeBestEffortOrZero quarter second subDate
        subtractDays subtractHours subtractMinutes subtractMonths subtractQuarters subtractSeconds subtractWeeks subtractYears
        timeDiff timestamp timestampDiff timestamp_diff timeSlot timeSlots toDayOfMonth toDayOfWeek toDayOfYear toDaysInMonth toHour
        toISOWeek toISOYear toLastDayOfMonth toLastDayOfWeek toMillisecond toMinute toMonday toMonth toQuarter
        toRelativeDayNum toRelativeHourNum toRelativeMinuteNum toRelativeMonthNum toRelativeSecondNum toRelativeWeekNum
        toRelativeYearNum toSecond toStartOfDay toStartOfFifteenMinutes toStartOfFiveMinutes toStartOfHour toStartOfInterval
        toStartOfISOYear toStartOfMinute toStartOfMonth toStartOfQuarter toStartOfSecond toStartOfTenMinutes toStartOfWeek
        toStartOfYear toTimezone toUnixTimestamp toUnixTimestamp64Micro toUnixTimestamp64Milli toUnixTimestamp64Second toWeek
        toYear toYearWeek toYYYYMM toYYYYMMDD toYYYYMMDDhhmmss week year
        toIntervalDay toIntervalHour toIntervalMinute toIntervalMonth toIntervalQuarter toIntervalSecond toIntervalWeek
        toIntervalYear
        """,
    "Conversions: a value in, the same value as another type out": """
        cast toBool toDate toDate32 toDateOrDefault toDateOrNull toDateOrZero toDateTime toDateTime64 toDateTime64OrNull
        toDateTime64OrZero toDateTimeOrDefault toDateTimeOrNull toDateTimeOrZero toDecimal128 toDecimal32 toDecimal64
        toDecimal64OrNull toDecimal64OrZero toDecimalString toFixedString toFloat32 toFloat32OrDefault toFloat32OrNull
        toFloat32OrZero toFloat64 toFloat64OrDefault toFloat64OrNull toFloat64OrZero toInt128 toInt16 toInt16OrDefault
        toInt16OrNull toInt16OrZero toInt256 toInt32 toInt32OrDefault toInt32OrNull toInt32OrZero toInt64 toInt64OrDefault
        toInt64OrNull toInt64OrZero toInt8 toInt8OrDefault toInt8OrNull toInt8OrZero toLowCardinality toString
        toStringCutToZero toUInt128 toUInt16 toUInt16OrDefault toUInt16OrNull toUInt16OrZero toUInt256 toUInt32
        toUInt32OrDefault toUInt32OrNull toUInt32OrZero toUInt64 toUInt64OrDefault toUInt64OrNull toUInt64OrZero toUInt8
        toUInt8OrDefault toUInt8OrNull toUInt8OrZero toUUID toUUIDOrNull formatReadableDecimalSize formatReadableQuantity
        formatReadableSize formatReadableTimeDelta
        """,
    "JSON texts: they read the text that is given": """
        isValidJSON JSONArrayLength JSONExtractArrayRaw JSONExtractBool JSONExtractFloat JSONExtractInt JSONExtractKeys
        JSONExtractKeysAndValuesRaw JSONExtractRaw JSONExtractString JSONExtractUInt JSONHas JSONLength JSONType
        simpleJSONExtractBool simpleJSONExtractFloat simpleJSONExtractInt simpleJSONExtractRaw simpleJSONExtractString
        simpleJSONExtractUInt simpleJSONHas toJSONString
        """,
    "Addresses of pages: they take a URL apart and open none": """
        cutQueryString cutQueryStringAndFragment cutURLParameter cutWWW decodeURLComponent domain domainWithoutWWW
        encodeURLComponent extractURLParameter extractURLParameters path protocol queryString topLevelDomain
        """,
    "Places on earth: formulas on coordinates": """
        geoDistance geohashDecode geohashEncode geohashesInBox greatCircleAngle greatCircleDistance pointInPolygon
        """,
}
WITH_LAMBDA = {
    "Functions that take a lambda: its body is checked like everything else, and it must be written out": """
        arrayAll arrayAvg arrayCompact arrayCount arrayCumSum arrayCumSumNonNegative arrayDifference arrayExists arrayFill
        arrayFilter arrayFirst arrayFirstIndex arrayFirstOrNull arrayFold arrayLast arrayLastIndex arrayLastOrNull arrayMap
        arrayMax arrayMin arrayProduct arrayReverseFill arrayReverseSort arrayReverseSplit arraySort arraySplit arraySum
        mapAll mapApply mapExists mapFilter mapReverseSort mapSort
        """,
}
LOOK_UPS = {
    "The project's own dictionaries and Join tables, named by a literal: their rows are the project's": """
        dictGet dictGetOrDefault dictGetOrNull dictHas joinGet joinGetOrNull
        """,
}
GROUPS = {**AGGREGATES, **PLAIN, **WITH_LAMBDA, **LOOK_UPS}
REFUSED = {
    "Use {{ now }}: the clock is a parameter": """
        now now64 today yesterday curdate current_date current_time current_timestamp localtime localtimestamp UTCTimestamp
        UTC_timestamp nowInBlock nowInBlock64
        """,
    "It reads files": "file filesystemAvailable filesystemCapacity filesystemUnreserved catboostEvaluate regionToName",
    "It is not deterministic: use cityHash64(item_id, {{ seed }})": """
        rand rand32 rand64 randCanonical randConstant randUniform randNormal randBernoulli randomString generateUUIDv4
        generateUUIDv7 arrayShuffle arrayRandomSample groupArraySample fuzzBits
        """,
    "It depends on the order in which rows are read: use row_number() over (order by …)": """
        rowNumberInAllBlocks rowNumberInBlock runningDifference runningAccumulate neighbor blockNumber blockSize
        """,
    "It sleeps": "sleep sleepEachRow",
    "It reads the state of the server": """
        version uptime hostName hostname FQDN user currentUser currentDatabase getSetting getMacro getServerSetting tcpPort
        serverUUID buildId addressToLine addressToSymbol demangle tid queryID currentProfiles currentRoles globalVariable
        """,
}
"""Only for messages: why a function that an author may try is not on the list."""


def _words(groups: dict[str, str]) -> dict[str, str]:
    return {name.lower(): name for names in groups.values() for name in names.split()}


FUNCTIONS = _words(GROUPS)
"""{name in lower case: its spelling} of every listed function."""
TAKES_LAMBDA = frozenset(_words(WITH_LAMBDA))
DICTIONARIES = frozenset(_words(LOOK_UPS))
_AGGREGATES = frozenset(_words(AGGREGATES))
_SUFFIXES = tuple(sorted((name.lower() for name in COMBINATORS), key=len, reverse=True))
_REASONS = {name.lower(): reason for reason, names in REFUSED.items() for name in names.split()}


@lru_cache(maxsize=4096)
def is_allowed(name: str) -> bool:
    """True if a pipe may call this function.

    >>> is_allowed("arrayMap"), is_allowed("sumIf"), is_allowed("uniqExactDistinctIfMerge"), is_allowed("file")
    (True, True, True, False)
    """
    return name.lower() in FUNCTIONS or is_aggregate(name)


def is_aggregate(name: str) -> bool:
    """True for a listed aggregate with any combinators.

    >>> is_aggregate("sumOrNullIf"), is_aggregate("lowerIf"), is_aggregate("If")
    (True, False, False)
    """
    word = name.lower()
    if word in _AGGREGATES:
        return True
    return any(word.endswith(suffix) and is_aggregate(word[: -len(suffix)]) for suffix in _SUFFIXES)


def suggest_function(name: str) -> str:
    """Why a function is not listed, or similar functions that are, or where the list is.

    >>> suggest_function("cuont")
    'Did you mean count?'
    >>> suggest_function("sleep")
    'It sleeps'
    >>> suggest_function("reverseArray")
    'Did you mean reverse, mapReverseSort or reverseUTF8?'
    """
    word = name.lower()
    if word in _REASONS:
        return _REASONS[word]
    near = get_close_matches(word, FUNCTIONS, n=1, cutoff=0.75) or get_close_matches(word, FUNCTIONS, n=3, cutoff=0.55)
    names = [FUNCTIONS[name] for name in near]
    choice = f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else "".join(names)
    return f"Did you mean {choice}?" if choice else "`alsobought pipe functions` lists all functions"
