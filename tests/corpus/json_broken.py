"""Texts that are almost JSON, made from small ones by breaking them."""

# ruff: noqa: RUF001, SIM905  signs that only look like JSON's are what they are for

from __future__ import annotations

_WHOLE = (b'{"a":[1,"x"],"b":{"c":null}}', b'[true,{"k":-1.5e2}]', b'"a\\nb"')
_MARKS = b'{}[]:,"'
_NUMBERS = (
    "+1 -+1 ++1 -- - -a 01 -01 00 0123 1. -1. .5 -.5 1.e1 .e1 e1 1e 1e+ 1E- 1e1.5 1ee1 1e+-1 0x1 "
    "0X1F -0x1 0b1 0o7 1_000 1,0 1f 1L 1n 1d 1- 1+1 1/2 NaN -NaN nan Infinity -Infinity infinity "
    "inf Inf ∞ 1.2.3 0e 0e+ 00e1 1e0x1 ² ½ １ ٣ 1\u00a0 \u22121 1e\u0661 #1 $1 1%"
).split(" ")
_WORDS = (
    "True False None TRUE FALSE Null NULL nul nulll tru truee fals nil undefined void yes true1 "
    "null,null true:1 a abc Object() [object] new() function(){}"
).split(" ")
_ESCAPES = (
    r"\a \v \0 \x41 \' \e \U0041 \u \u1 \u12 \u123 \u12G4 \u{41} \uD8 \u-001 \u+041 \u_041 \8 \N "
    r"\é \😀 \u00e \ud800 \udc00 \ud800\u0041 \udc00\ud800 \ud800\ud800 \ud83d\n \uD83D"
).split(" ")
_BYTES = (
    b"\x80 \xbf \xc0 \xc1 \xc0\xaf \xc1\xbf \xe0\x80\xaf \xe0\x9f\xbf \xf0\x80\x80\xaf "
    b"\xf0\x8f\xbf\xbf \xf5\x80\x80\x80 \xf8\x88\x80\x80\x80 \xfe \xff \xc2 \xe4\xbd \xe4 "
    b"\xf0\x9f\x98 \xf4\x90\x80\x80 \xed\xa0\x80 \xed\xbf\xbf \xed\xa0\xbd\xed\xb8\x80 "
    b"\xc3( \xe2\x82( a\xffb "
    b"\xc4\xe3\xba\xc3 caf\xe9"
).split(b" ")
_BLANKS = (
    "\x0b \x0c \x00 \x1f \x7f \xa0 \u2003 \u2028 \u2029 \u3000 \ufeff \u200b \u180e \u2060".split(
        " "
    )
)
_COMMENTS = ("//a\n", "/*a*/", "#a\n", "--a\n", "<!--a-->", ";a\n", "/*", "//")
_SHAPES = (
    b"[,] [1,] [,1] [1,,2] [1 2] [1;2] [1:2] [[] []] [1}] {,} {1} {1:1} {null:1} {[]:1} {{}:1} "
    b"{a:1} "
    b'{\'a\':1} {"a"} {"a":} {"a",1} {"a":1,} {,"a":1} {"a":1,,"b":2} {"a"::1} '
    b'{"a":1:2} {"a"=1} {"a"=>1} {"a":1;} {"a":1]  {:1} {"a""b":1} {"a":1"b":2} '
    b'[\'a\'] `a` \'a\' "a""b" "a"+"b" (1) <1> [1...] [...] * ? @ ! & | ~ ^ = \\ \\" '
    b'["\\"] """ "a ["a" [[[[ ]]]] {{{{ }}}} [{]} {[}] ][ }{ []] {}} [][] {}{} '
    b'["a",\n4\n,1, {"a":1/*b*/} "\\ "\\" - --1 null;'
).split(b" ")


def broken() -> list[bytes]:
    """All of them, none of which is JSON where a value must stand, no two alike."""
    texts = [
        *_cut(),
        *_SHAPES,
        *(number.encode() for number in _NUMBERS),
        *(word.encode() for word in _WORDS),
        *(f'"{escape}"'.encode() for escape in _ESCAPES),
        *(b'"' + raw + b'"' for raw in _BYTES),
        *(b'"a%cb"' % code for code in range(0x20)),
        *(b'{"a%cb":1}' % code for code in (0, 0x0A, 0x1F)),
        *(f"[1,{blank}2]".encode() for blank in _BLANKS),
        *(f"[1,{comment}2]".encode() for comment in _COMMENTS),
    ]
    return [text for text in dict.fromkeys(texts) if text.strip()]


def _cut() -> list[bytes]:
    """Each text without its end, and with each of its signs left out, doubled or another."""
    found = []
    for whole in _WHOLE:
        found += [whole[:-1], whole[: len(whole) // 2]]
        places = [place for place, byte in enumerate(whole) if byte in _MARKS and byte != ord(":")]
        for place in places:
            sign = whole[place : place + 1]
            others = [b"", sign * 2] if sign != b'"' else [b"'"]
            found += [whole[:place] + other + whole[place + 1 :] for other in others]
    return found
