"""The data set reader of an AllenNLP archive: how raw text becomes words, and what indexes them."""

from embeddings.tokenizer import TokenizerName
from models.allennlp_config import Section

_ONLY_FOR_DATA = (
    *("type", "lazy", "max_instances", "manual_distributed_sharding", "manual_multiprocess_sharding"),
    *("cache_directory", "serialization_dir", "tag_label", "label_namespace", "coding_scheme"),
    *("convert_to_coding_scheme", "granularity", "use_subtrees", "word_tag_delimiter", "token_delimiter"),
    *("domain_identifier", "skip_label_indexing"),
)
"""Keys that say where labelled data lie and how their labels are read, not what a model sees of a text."""


def read_reader(section: Section) -> tuple[TokenizerName, Section]:
    """The tokenizer of raw text, and the section of the indexers.

    Args:
        section: of the reader.

    Raises:
        SourceError: it changes texts in a way that cannot be converted.
    """
    section.only("feature_labels", [], None)
    section.ignore(*_ONLY_FOR_DATA)
    tokenizer = _tokenizer(section) if "tokenizer" in section else "spacy"
    indexers = section.take("token_indexers", {"tokens": {"type": "single_id"}})
    section.close()
    return tokenizer, Section(indexers, f"{section.path}.token_indexers", section.where)


def _tokenizer(reader: Section) -> TokenizerName:
    value = reader.take("tokenizer")
    section = Section({"type": value} if isinstance(value, str) else value, f"{reader.path}.tokenizer", reader.where)
    kind = section.choice("type", ("spacy", "word", "just_spaces", "whitespace"), "spacy")
    for key in ("start_tokens", "end_tokens"):
        section.only(key, [], None)
    section.only("language", "en_core_web_sm")
    section.only("split_on_spaces", False)
    section.ignore("pos_tags", "parse", "ner", "keep_spacy_tokens")
    if "word_splitter" in section:
        splitter = section.take("word_splitter")
        inner = splitter if isinstance(splitter, dict) else {"type": splitter}
        inner_section = Section(inner, f"{section.path}.word_splitter", section.where)
        kind = inner_section.choice("type", ("spacy", "just_spaces"))
        inner_section.only("language", "en_core_web_sm")
        inner_section.ignore("pos_tags", "parse", "ner")
        inner_section.close()
    section.close()
    return "whitespace" if kind in ("just_spaces", "whitespace") else "spacy"
