"""Names of enterprises as they are compared: what departments write differently and mean the same.

A registered name is region, trade name, trade and form of organisation (企业名称登记管理规定, art. 6):
合作市 + 雪域 + 牦牛乳业 + 有限责任公司. Departments leave out the region, write brackets and widths as they
please, and 有限公司 for 有限责任公司. Names of persons are compared whole: a Tibetan name in Chinese letters
(扎西东智) has no surname, so nothing is cut from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from hub.domain.identifiers import normalise_name

#: Traditional letters that stand in names of enterprises and persons of this region. What is missing here
#: makes two names a little less similar, no more.
_SIMPLIFIED = str.maketrans(
    "與業東兩個豐臨麗書買亂爭產億從倉儀價眾優會傳傷債華單賣衛廠廣莊開發農動務勞勝區協縣參雙變葉號員啟喬園圍團國圖聖場"
    "壩塊墊報壯處備夠頭夾奪婦媽學寧實審寬專尋導將爾層屬島嶺嶽師帶幫幹慶庫應廟彈強當彙後徑復態憂懷戰戶擇擔據"
    "揚換損搖數齊斷無舊時曉晉曬書會術機殺雜權條來楊極構樓標樣樹橋檔歐歡歲歷殘氈氣漢湯溝沒瀘滬瀏濟濱灣熱燈爐煙爲"
    "牽獨獎環現瑪電畫療癢監盤盧眞礦碼磚禮禪種稱積穩窩競筆節範築簡糧紀約級紅純紙紡細終組結給絡絲經綠網綜線編緣"
    "縮總績織繪續羅義習聯聲職聽肅腦膠臺興舉舖艦藝藥蘇蘭蟲補裝製見規視覽覺訊記設許訴診評詞試詩話該詳語誠說調"
    "談請論諾謝證識譜護讀豬貝財貢貨貫貴貿費資賓賜質賽贊趙車軌軒軟載輕輛輝輪輸轉辦農過運達違遠適選遺郵鄉釀鋪鋼"
    "錄錢錦鐵鏡長門閃閉開間關陝陳陽隊階際陸險隨難雲電靈靜鞏韓頂項順須頓預領頻題額顏風飛飯飲飾館餘馬駝駕驗騰驛魚鮮鳥鳳鳴鴻鵬鷄鹽麥黃點齊龍龐龜責購銷維進創煉鍋閣凱匯燒滿",
    "与业东两个丰临丽书买乱争产亿从仓仪价众优会传伤债华单卖卫厂广庄开发农动务劳胜区协县参双变叶号员启乔园围团国图圣场"
    "坝块垫报壮处备够头夹夺妇妈学宁实审宽专寻导将尔层属岛岭岳师带帮干庆库应庙弹强当汇后径复态忧怀战户择担据"
    "扬换损摇数齐断无旧时晓晋晒书会术机杀杂权条来杨极构楼标样树桥档欧欢岁历残毡气汉汤沟没泸沪浏济滨湾热灯炉烟为"
    "牵独奖环现玛电画疗痒监盘卢真矿码砖礼禅种称积稳窝竞笔节范筑简粮纪约级红纯纸纺细终组结给络丝经绿网综线编缘"
    "缩总绩织绘续罗义习联声职听肃脑胶台兴举铺舰艺药苏兰虫补装制见规视览觉讯记设许诉诊评词试诗话该详语诚说调"
    "谈请论诺谢证识谱护读猪贝财贡货贯贵贸费资宾赐质赛赞赵车轨轩软载轻辆辉轮输转办农过运达违远适选遗邮乡酿铺钢"
    "录钱锦铁镜长门闪闭开间关陕陈阳队阶际陆险随难云电灵静巩韩顶项顺须顿预领频题额颜风飞饭饮饰馆余马驼驾验腾驿鱼鲜鸟凤鸣鸿鹏鸡盐麦黄点齐龙庞龟责购销维进创炼锅阁凯汇烧满",
)
#: Forms of organisation as they end a name: how they are written -> what is compared. The longest come first.
_FORMS = {
    "股份有限责任公司": "股份有限公司", "股份有限公司": "股份有限公司", "有限责任公司": "有限公司",
    "农民专业合作社联合社": "专业合作社联合社", "专业合作社联合社": "专业合作社联合社",
    "农民专业合作社": "专业合作社", "专业合作社": "专业合作社",
    "有限公司": "有限公司", "股份公司": "股份有限公司", "有限合伙": "有限合伙", "普通合伙": "普通合伙",
    "个人独资企业": "个人独资企业", "个体工商户": "",
}
#: Forms whose names the register keeps apart within its region.
_KEPT_APART = frozenset({"有限公司", "股份有限公司", "专业合作社", "专业合作社联合社"})
_MARKS = frozenset("()[]{}<>《》〈〉【】〔〕“”\"'‘’`、,。.·-—_/\\*#:;!?|~")
#: Both at once: simplified letters, and no marks.
_PLAIN = {**_SIMPLIFIED, **dict.fromkeys(map(ord, _MARKS))}


class EnterpriseName(NamedTuple):
    """``core`` is what is left without region and form; ``region`` the code of the region that the name names."""

    core: str
    form: str
    region: str | None

    @property
    def is_kept_apart(self) -> bool:
        """Whether the register lets no second enterprise of its region have this name."""
        return self.form in _KEPT_APART


class NameReader:
    """``regions`` maps what regions are called (合作市, 合作, 甘南州) to their codes (GB/T 2260)."""

    def __init__(self, regions: Mapping[str, str]) -> None:
        self._regions = sorted(
            ((plain(name), code) for name, code in regions.items() if len(name) > 1 and not name.isdigit()),
            key=lambda each: -len(each[0]),
        )
        self.read = lru_cache(maxsize=4096)(self._read)

    def _read(self, name: str) -> EnterpriseName:
        text = plain(name)
        form = ""
        for written, compared in _FORMS.items():
            if text.endswith(written) and len(text) > len(written) + 1:
                text, form = text[: -len(written)], compared
                break
        region: str | None = None
        is_cut = True
        while is_cut:
            is_cut = False
            for called, code in (*self._regions, ("甘肃省", ""), ("甘肃", "")):
                if text.startswith(called) and len(text) >= len(called) + 2:
                    text, is_cut = text[len(called) :], True
                    # Of prefecture and county the county says more.
                    if code and (region is None or region.endswith("00")):
                        region = code
                    break
        for called, code in self._regions:
            # 雪域牦牛乳业（合作）有限公司: the region may stand behind the trade.
            if text.endswith(called) and len(text) >= len(called) + 2 and region is None:
                text, region = text[: -len(called)], code
                break
        return EnterpriseName(text, form, region)


def plain(name: str) -> str:
    """Half-width, simplified, upper case, without blanks and marks."""
    text = normalise_name(name)
    return text if text.isascii() and text.isalnum() else text.translate(_PLAIN)


def plain_texts(names: Sequence[str]) -> list[str] | None:
    """``plain`` of each, all at once; ``None`` where one of them is more than printable ASCII."""
    joined = "\n".join(names)
    if not joined.isascii() or not "".join(names).isprintable():
        return None
    return joined.upper().replace(" ", "").translate(_PLAIN).split("\n") if names else []


def plain_person(name: str) -> str:
    """A person's name as it is compared: whole, without blanks and middle dots."""
    return plain(name)
