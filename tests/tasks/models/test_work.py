"""Operations and the list of products, against a count that goes layer by layer, head by head, token by token."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.models import Config, Workload, count_work, is_attention, parse_config, products
from tasks.models.parameters import matmul_per_token
from tests.tasks.models import naive

sizes = st.integers(1, 9)


def flops_of(config: Config, load: Workload) -> int:
    return sum(gemm.flops for gemm in products(config, load))


def lengths(load: Workload) -> list[int]:
    whole, rest = divmod(load.tokens, load.sequence)
    return [load.sequence] * whole + ([rest] if rest else [])


@settings(deadline=None)
@given(naive.FIELDS)
def test_weights_per_token_are_those_of_a_walk_over_all_matrices(fields: naive.Fields) -> None:
    assert matmul_per_token(parse_config(fields)) == naive.weights_per_token(fields)


@settings(deadline=None)
@given(naive.FIELDS, sizes, sizes, st.integers(1, 40))
def test_prefill(fields: naive.Fields, batch: int, sequence: int, tokens: int) -> None:
    config, load = parse_config(fields), Workload(tokens, batch, sequence)
    expected = naive.forward(fields, lengths(load))
    assert count_work(config, load).full == expected == flops_of(config, load)


@settings(deadline=None)
@given(naive.FIELDS, sizes, sizes, st.integers(1, 40))
def test_embed_leaves_out_the_head(fields: naive.Fields, batch: int, sequence: int, tokens: int) -> None:
    config, load = parse_config(fields), Workload(tokens, batch, sequence, "embed")
    expected = naive.forward(fields, lengths(load), head=False)
    assert count_work(config, load).full == expected == flops_of(config, load)
    assert count_work(config, load).head == 0


@settings(deadline=None)
@given(naive.FIELDS, sizes, sizes, st.integers(1, 40))
def test_decode(fields: naive.Fields, batch: int, sequence: int, tokens: int) -> None:
    config, load = parse_config(fields), Workload(tokens, batch, sequence, "decode")
    expected = naive.decoded(fields, tokens, sequence)
    assert count_work(config, load).full == expected == flops_of(config, load) == count_work(config, load).causal


@settings(deadline=None)
@given(naive.FIELDS, sizes, sizes, st.integers(1, 40), st.sampled_from(["none", "selective", "full"]))
def test_training_is_three_passes_and_what_is_computed_again(
    fields: naive.Fields, batch: int, sequence: int, tokens: int, recompute: str
) -> None:
    config, load = parse_config(fields), Workload(tokens, batch, sequence, "train", recompute)
    again = {"none": 0, "selective": naive.scores(fields, lengths(load)), "full": naive.forward(fields, lengths(load))}[recompute]
    attention = sum(gemm.flops for gemm in products(config, load) if is_attention(gemm))
    assert count_work(config, load).attention_full == attention
    assert count_work(config, load).full == 3 * naive.forward(fields, lengths(load)) + again == flops_of(config, load)


@settings(deadline=None)
@given(naive.FIELDS, st.integers(1, 12))
def test_causal_attention_is_the_area_under_the_mask(fields: naive.Fields, sequence: int) -> None:
    work = count_work(parse_config(fields), Workload(3 * sequence, 2, sequence))
    assert work.attention_causal == 3 * naive.masked_scores(fields, sequence)
    assert work.causal == work.matrices + work.attention_causal <= work.full


@settings(deadline=None)
@given(naive.FIELDS, sizes, sizes, st.integers(1, 40), st.sampled_from(["prefill", "decode", "train"]))
def test_every_expert_row_is_multiplied_and_no_other(fields: naive.Fields, batch: int, sequence: int, tokens: int, mode: str) -> None:
    config = parse_config(fields)
    rows = sum(gemm.m * gemm.count for gemm in products(config, Workload(tokens, batch, sequence, mode)) if gemm.name == "expert down")
    assert rows == (config.sparse_layers * tokens * config.experts.per_token if config.experts else 0)


@settings(deadline=None)
@given(naive.FIELDS, st.integers(1, 40))
def test_a_shape_is_listed_once(fields: naive.Fields, tokens: int) -> None:
    listed = [(gemm.name, gemm.m, gemm.n, gemm.k) for gemm in products(parse_config(fields), Workload(tokens, 2, 5, "train"))]
    assert len(listed) == len(set(listed))
