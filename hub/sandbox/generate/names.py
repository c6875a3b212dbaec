"""Made-up names of people and enterprises of the prefecture."""

from __future__ import annotations

from random import Random

#: GB/T 2260 code -> (full name, short name, weight). 合作 > 临潭 > 夏河 > the others.
REGIONS: dict[str, tuple[str, str, int]] = {
    "623001": ("合作市", "合作", 34),
    "623021": ("临潭县", "临潭", 18),
    "623027": ("夏河县", "夏河", 14),
    "623022": ("卓尼县", "卓尼", 8),
    "623023": ("舟曲县", "舟曲", 8),
    "623025": ("玛曲县", "玛曲", 7),
    "623026": ("碌曲县", "碌曲", 6),
    "623024": ("迭部县", "迭部", 5),
}

_SURNAMES = "马王李张杨敏丁赵刘陈石安卢丹赛后杜魏苏何"
_GIVEN = "明军丽霞晓玲国强文华建平海燕志成学义秀兰伊哈伟红梅永福德林"
#: Transliterated Tibetan names have no surname; most join two of these, some stand alone.
_TIBETAN = (
    "扎西",
    "东智",
    "卓玛",
    "才让",
    "桑杰",
    "草",
    "南杰",
    "次成",
    "尕藏",
    "拉毛",
    "完么",
    "仁青",
    "加措",
    "道吉",
    "旦正",
    "贡保",
    "久西",
    "索南",
    "华旦",
    "尼玛",
    "丹增",
    "旺姆",
    "德吉",
    "班玛",
    "更登",
)
_WORDS = (
    "雪域",
    "格桑",
    "香巴拉",
    "洮河",
    "白龙江",
    "甘加",
    "当周",
    "羚城",
    "桑科",
    "尕海",
    "阿万仓",
    "郎木",
    "扎尕那",
    "吉祥",
    "祥瑞",
    "金露梅",
    "蓝天",
    "惠民",
    "鑫源",
    "藏韵",
    "牧歌",
    "圣洁",
    "雄鹰",
    "莲花山",
)
#: (trade, kind of trade): the kind picks fitting violations.
_COMPANY_TRADES = (
    ("牦牛乳业", "food"),
    ("藏羊肉制品", "food"),
    ("青稞食品", "food"),
    ("藏药", "medicine"),
    ("旅行社", "tourism"),
    ("酒店管理", "hotel"),
    ("文化传媒", "culture"),
    ("建筑工程", "building"),
    ("商贸", "retail"),
    ("液化气", "gas"),
    ("汽车检测", "testing"),
    ("水电开发", "energy"),
    ("保安服务", "security"),
    ("药材开发", "medicine"),
)
_SHOP_TRADES = (
    ("便利店", "retail"),
    ("藏餐吧", "food"),
    ("牛肉面馆", "food"),
    ("虫草行", "medicine"),
    ("宾馆", "hotel"),
    ("大药房", "medicine"),
    ("茶府", "food"),
    ("民宿", "hotel"),
    ("五金店", "retail"),
    ("音乐酒吧", "culture"),
    ("手机店", "retail"),
    ("土特产店", "food"),
)
_TEMPLES = ("甘珠寺", "德尔隆寺", "扎喜寺", "曲宗寺", "达仓寺", "尼藏寺")


def person_name(rng: Random) -> str:
    """A name of 2 to 6 characters, about half of them Tibetan."""
    if rng.random() < 0.5:
        return rng.choice(_TIBETAN[:5]) if rng.random() < 0.1 else "".join(rng.sample(_TIBETAN, 2))
    return rng.choice(_SURNAMES) + "".join(rng.choices(_GIVEN, k=rng.choice((1, 2, 2))))


def pick_region(rng: Random) -> str:
    """A region code, by weight."""
    return rng.choices(tuple(REGIONS), weights=[weight for _, _, weight in REGIONS.values()])[0]


def enterprise_name(rng: Random, kind: str, region: str) -> tuple[str, str]:
    """A name and its kind of trade. ``kind``: company, shop, cooperative, collective, temple, school."""
    full, short, _ = REGIONS[region]
    word = rng.choice(_WORDS)
    if rng.random() < 0.35:
        word = "".join(rng.sample(_TIBETAN, 2))
    if kind == "company":
        trade, sort = rng.choice(_COMPANY_TRADES)
        return f"{full}{word}{trade}有限{rng.choice(('', '责任'))}公司", sort
    if kind == "shop":
        trade, sort = rng.choice(_SHOP_TRADES)
        return f"{full}{word}{trade}", sort
    if kind == "cooperative":
        return f"{full}{word}{rng.choice(('牦牛养殖', '藏羊养殖', '药材种植', '饲草'))}农民专业合作社", "farm"
    if kind == "collective":
        village = rng.choice(("那吾", "勒秀", "佐盖", "卡加", "新城", "古战", "桑科", "木西合"))
        return f"{full}{village}镇{word}村股份经济合作社", "farm"
    if kind == "temple":
        return f"{short}{word}{rng.choice(_TEMPLES)}", "temple"
    return f"{full}{word}{rng.choice(('幼儿园', '培训学校'))}", "school"
