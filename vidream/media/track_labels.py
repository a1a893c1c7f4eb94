"""What players show of a track: its language and title, and which one they begin with."""

from collections.abc import Sequence
from typing import Any

import av

# QuickTime's languages, by the names that FFmpeg has for their numbers.
_QUICKTIME = (
    " eng fra ger ita dut sve spa dan por nor heb jpn ara fin gre ice mlt tur chi urd hin tha kor"
    " lit pol hun est lav rus iri alb ron ces slk slv yid mac bul ukr bel uzb kaz aze arm geo mol"
    " kir tgk tuk mon pus kur kas snd tib nep san mar ben asm guj pan ori mal kan tam tel bur khm"
    " lao vie ind tgl may amh tir orm som swa run mlg epo wel baq cat lat que grn aym tat uig dzo"
    " jav "
)
_FOR_QUICKTIME = {
    **{"deu": "ger", "nld": "dut", "swe": "sve", "ell": "gre", "isl": "ice", "zho": "chi"},
    **{"sqi": "alb", "mkd": "mac", "hye": "arm", "kat": "geo", "bod": "tib", "mya": "bur"},
    **{"msa": "may", "cym": "wel", "eus": "baq", "fas": "iri", "per": "iri", "fre": "fra"},
    **{"rum": "ron", "cze": "ces", "slo": "slk"},
}
_UNSAID = (None, "", "und")


def language_of(template: Any) -> str | None:
    """Return the language of a track, as ISO 639 has it; None if unsaid."""
    said = template.metadata.get("language")
    return None if said in _UNSAID else str(said)


def label(stream: Any, template: Any, muxer: str, *, default: bool) -> bool:
    """Label a stream as another one is; return whether its language could be kept.

    Args:
        stream: of the file that is written.
        template: of the source.
        muxer: FFmpeg's name.
        default: whether players begin with it.
    """
    tags = template.metadata
    # The tags of Ogg's tracks are those of the file.
    is_own = template.container.format.name != "ogg"
    if is_own and (title := tags.get("title") or tags.get("name")):
        stream.metadata["title"] = title
    flags = template.disposition & ~av.stream.Disposition.attached_pic
    first = av.stream.Disposition.default
    stream.disposition = flags | first if default else flags & ~first
    language = language_of(template)
    if language is None:
        return True
    if muxer == "mov":
        language = _FOR_QUICKTIME.get(language, language)
        if f" {language} " not in _QUICKTIME:
            return False
    stream.metadata["language"] = language
    return True


def defaults(templates: Sequence[Any]) -> set[int]:
    """Return the places of the tracks that players begin with: one of each type, at least."""
    chosen = {n for n, t in enumerate(templates) if t.disposition & av.stream.Disposition.default}
    sound = [n for n, template in enumerate(templates) if template.type == "audio"]
    if sound and not chosen & set(sound):
        chosen.add(sound[0])
    return chosen
