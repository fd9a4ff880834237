"""Other words for the same thing: a list of our own, English and Japanese, of what people write in offices and factories.

A list and not the model's own neighbours by cosine: those are mostly the same word in another spelling (`order`, `Order`, `orders`)
or its opposite (`open`, `close`), and they would be other words for every model, so that two models could not be compared. The price
is that only known words can be changed: a result says which share really was.

The words of a group stand for each other in the same form: a plural for a plural, a past for a past. Capitals are kept. A Japanese
word counts only where no further kanji or katakana stands beside it, so that 注文 is left alone in 注文書.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

_ENGLISH = """
big large | small little | fast quick rapid | slow sluggish | broken damaged defective | wrong incorrect | right correct | new recent
old aged | cheap inexpensive | expensive costly | important essential | urgent pressing | difficult hard | easy simple | whole entire
main principal | clear plain | quiet silent | loud noisy | late overdue | early premature | full complete | empty vacant | safe secure
dangerous hazardous | near close | far distant | good fine | bad poor | strong sturdy | weak feeble | clean spotless | dirty soiled
wet damp | hot warm | cold chilly | rough coarse | smooth even | usual normal | strange odd | enough sufficient | several various
order request | orders requests | ordered requested | ordering requesting | customer client | customers clients | error mistake fault
errors mistakes faults | problem issue | problems issues | part component | parts components | machine device unit
machines devices units | factory plant | factories plants | worker employee | workers employees | manager supervisor
managers supervisors | meeting conference | meetings conferences | price cost | prices costs | bill invoice | bills invoices
box carton crate | boxes cartons crates | shipment delivery consignment | shipments deliveries consignments | list table
lists tables | report statement | reports statements | letter note | mail message | mails messages | question query
questions queries | answer reply response | answers replies responses | reason cause | reasons causes | result outcome
results outcomes | test trial check | tests trials checks | limit bound | limits bounds | defect flaw | defects flaws | crack fissure
cracks fissures | scratch scrape | scratches scrapes | leak seepage | leaks seepages | noise sound | hole opening | holes openings
edge rim | edges rims | stock inventory | goods merchandise | item article | items articles | amount quantity | amounts quantities
sum total | number figure | numbers figures | day date | days dates | job task | jobs tasks | stop halt | stops halts | stopped halted
start begin | starts begins | started began | buy purchase | buys purchases | bought purchased | send dispatch | sends dispatches
sent dispatched | sending dispatching | get obtain receive | gets obtains receives | got obtained received | need require
needs requires | needed required | want wish | wants wishes | wanted wished | ask inquire | asks inquires | asked inquired
help assist | helps assists | helped assisted | show display | shows displays | showed displayed | fix repair mend
fixes repairs mends | fixed repaired mended | replace exchange | replaces exchanges | replaced exchanged | change alter modify
changes alters modifies | changed altered modified | make produce | makes produces | made produced | use employ | uses employs
used employed | find locate | finds locates | found located | seen noticed observed | see notice observe | look glance | keep retain
keeps retains | kept retained | increase rise | increases rises | increased risen | reduce lower | reduces lowers | reduced lowered
finish end | finishes ends | finished ended | return refund | returns refunds | returned refunded | cancel revoke | cancels revokes
cancelled revoked | arrive come | arrives comes | arrived came | write compose | writes composes | wrote composed | tell inform
tells informs | told informed | explain clarify | explains clarifies | explained clarified | choose select pick
chooses selects picks | chosen selected picked | measure gauge | measures gauges | measured gauged | count tally | counts tallies
calculate compute | calculates computes | calculated computed | sort arrange | sorts arranges | sorted arranged | remove delete
removes deletes | removed deleted | add append | adds appends | added appended | please kindly | about around roughly | also too
often frequently | always constantly | now currently | soon shortly | again anew | quickly rapidly | completely entirely
immediately instantly | maybe perhaps | however nevertheless | because since | before prior | below beneath under | above over
between among | per each | every each | all every | many numerous | few scant | without lacking | during throughout | but yet
today tonight | morning forenoon | staff personnel | shop store | shops stores | street road | car vehicle | cars vehicles
truck lorry | trucks lorries | gift present | photo picture | photos pictures | function routine | functions routines | name label
names labels | value figure | values figures | text wording | line row | lines rows | file document | files documents | folder directory
folders directories | word term | words terms | sentence phrase | sentences phrases | summary digest | plan scheme | plans schemes
"""

_JAPANESE = """
注文 発注 オーダー | 納期 納入日 期日 | 見積書 見積もり書 | 見積 見積もり | 請求書 インボイス | 金額 値段 | 価格 値段 料金
費用 コスト 経費 | 会議 打ち合わせ ミーティング | 資料 書類 文書 | 図面 設計図 | 検査 点検 チェック | 確認 チェック | 修理 修繕
交換 取り替え | 変更 修正 | 故障 不具合 | 異常 不具合 | 原因 理由 | 問題 トラブル | 不良品 欠陥品 | 不良 欠陥 | 傷 キズ
部品 パーツ | 設備 機器 装置 | 機械 装置 マシン | 工場 製造所 | 作業 仕事 | 作業員 作業者 | 担当者 係 | 担当 係 | 顧客 お客様 取引先
客先 取引先 | 在庫 ストック | 出荷 発送 | 発送 出荷 | 配送 配達 | 到着 着荷 | 連絡 通知 | 報告 レポート | 回答 返答 返事
質問 問い合わせ | 依頼 お願い | 要求 要望 | 本日 今日 | 明日 あす | 昨日 きのう | 今週 この週 | 来週 翌週 | 毎日 日々
最新版 最新の版 | 最新 直近 | 方法 やり方 手順 | 手順 方法 | 結果 結末 | 数量 個数 | 個数 数量 | 寸法 サイズ | 重量 重さ | 長さ 全長
温度 熱さ | 圧力 プレッシャー | 速度 スピード | 材質 材料 素材 | 材料 素材 | 製品 品物 商品 | 商品 品物 製品 | 品質 クオリティー
安全 セーフティー | 危険 リスク | 停止 ストップ | 開始 スタート | 終了 完了 | 完了 終了 | 予定 計画 スケジュール | 計画 プラン 予定
期限 締め切り | 返品 返送 | 返金 払い戻し | 契約 取り決め | 異音 変な音 | 音 物音 | 油漏れ オイル漏れ | 軸受 ベアリング
軸 シャフト | 歯車 ギア | 弁 バルブ | ねじ ビス | ボルト ねじ | モーター 電動機 | ポンプ 送水機 | センサー 検知器 | カバー 覆い
ケーブル 電線 | スイッチ 開閉器 | ライン 生産ライン | メール 電子メール | ファイル 書類 | データ 情報 | リスト 一覧 | グラフ 図表
パソコン 電算機 | 英語 英文 | 日本語 和文 | 文章 文 | 要約 まとめ | 説明 解説 | 例 実例 | 急 突然 | 丁寧 ていねい | 可能 できること
簡単 容易 | 必要 不可欠 | 重要 大切 | 正確 的確 | 大きい でかい | 小さい ちいさな | 全部 すべて | 一部 部分 | 少し やや
とても 非常に | すぐに ただちに | もう一度 再度 | および ならびに | または あるいは | しかし だが | 取消 キャンセル
取り消し キャンセル | 至急 大急ぎ
"""

_ENGLISH_WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)?")
_JAPANESE_WORD = re.compile(r"(?:[一-鿿々]+|[ァ-ヺー]+)[ぁ-ゖ]*|[ぁ-ゖ]+")
"""What a reader takes in one go (文節, nearly): kanji or katakana with the kana behind it, or kana alone."""
_KANJI, _KATAKANA = "[一-鿿々]", "[ァ-ヺー]"


def word_count(text: str) -> int:
    """Words of a text; of Japanese, which does not separate them, runs of kanji or katakana with the kana behind them.

    >>> word_count("Send 3 boxes; 図面の最新版はどれですか。")
    4
    """
    return sum(1 for _ in _ENGLISH_WORD.finditer(text)) + sum(1 for _ in _JAPANESE_WORD.finditer(text))


def word_choices(text: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Words that can be said otherwise: where each starts and ends, and what may stand there instead.

    >>> [(other, text) for text in ["Orders late"] for _, _, other in word_choices(text)]
    [(('Requests',), 'Orders late'), (('overdue',), 'Orders late')]
    """
    english, japanese = others("en"), others("ja")
    for match in _ENGLISH_WORD.finditer(text):
        found = english.get(match.group().lower())
        if found:
            yield match.start(), match.end(), tuple(_in_case_of(match.group(), other) for other in found)
    for match in _known_japanese().finditer(text):
        yield match.start(), match.end(), japanese[match.group()]


@cache
def others(language: str) -> Mapping[str, tuple[str, ...]]:
    """Each word of the list -> the others of its groups. In Japanese the first word of a group can become the others, not the other
    way round, because many are more general than it."""
    found: dict[str, dict[str, None]] = {}
    for group in re.split(r"[|\n]", _ENGLISH if language == "en" else _JAPANESE):
        words = group.split()
        for word in words if language == "en" else words[:1]:
            found.setdefault(word, {}).update({other: None for other in words if other != word})
    return {word: tuple(known) for word, known in found.items()}


@cache
def _known_japanese() -> re.Pattern[str]:
    """The longest word first; none out of the middle of a longer one."""
    words = sorted(others("ja"), key=len, reverse=True)
    return re.compile("|".join(_whole(word) for word in words))


def _whole(word: str) -> str:
    front = _KANJI if re.match(_KANJI, word) else _KATAKANA if re.match(_KATAKANA, word) else r"[ぁ-ゖ]"
    back = _KANJI if re.match(_KANJI, word[-1]) else _KATAKANA if re.match(_KATAKANA, word[-1]) else r"(?!)"
    return f"(?<!{front}){re.escape(word)}(?!{back})"


def _in_case_of(word: str, other: str) -> str:
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other[:1].upper() + other[1:] if word[:1].isupper() else other
