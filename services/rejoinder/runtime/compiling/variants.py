"""Graphs that a graph in fp32 becomes."""

from __future__ import annotations

import logging
import shutil
import warnings
from pathlib import Path

from rejoinder.core.errors import BadFile, FailedPrecondition, RejoinderError
from rejoinder.core.modelfolder import Run
from rejoinder.core.table import Row, Table

#: The oldest operators that OpenVINO reads as they are meant.
_OPSET = 18


def _copied(graph: Path, out: Path) -> None:
    shutil.copyfile(graph, out)


def _bf16(graph: Path, out: Path) -> None:
    """In the operators of opset 18: of older ones OpenVINO reads some otherwise without a word (a ReduceLogSumExp over
    one axis becomes one over all)."""
    _needs_onnx()
    import onnx
    from onnx import version_converter

    model = onnx.load(str(graph))
    (opset,) = (each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    onnx.save(version_converter.convert_version(model, _OPSET) if opset < _OPSET else model, str(out))


def _int8(graph: Path, out: Path) -> None:
    """Weights of the matrix products per channel; what goes into them is quantised as it comes."""
    _needs_onnx()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # It advises a preparation that an export of ours has had.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(str(graph), str(out), per_channel=True, weight_type=QuantType.QInt8)
    finally:
        logging.disable(before)


def _fp16(graph: Path, out: Path) -> None:
    """Inputs and outputs stay as they are, so that whoever reads them knows no difference."""
    _needs_onnx()
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with warnings.catch_warnings():
        # Weights below the smallest half become it: what that costs is measured.
        warnings.simplefilter("ignore")
        made = convert_float_to_float16(onnx.load(str(graph)), keep_io_types=True)
    onnx.save(made, str(out))


def _needs_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise FailedPrecondition("rewriting a graph needs the package onnx (rejoinder[training])") from None


#: Traits: `run`, how a service computes it. fp16: on a CPU it is computed by casts, so its speed there says nothing.
PRECISIONS = Table(
    "precision",
    Row("fp32", _copied, claim="as it was exported, ONNX Runtime", traits={"run": Run("onnx", "fp32")}),
    Row(
        "bf16",
        _bf16,
        claim="OpenVINO, products in bfloat16 (processors with AMX or AVX-512 BF16)",
        traits={"run": Run("openvino", "bf16")},
    ),
    Row("int8", _int8, claim="dynamic quantisation per channel, ONNX Runtime", traits={"run": Run("onnx", "int8")}),
    Row("fp16", _fp16, claim="half precision for GPUs (`device: cuda`)", traits={"run": Run("onnx", "fp16")}),
)


def write_graph(precision: str, graph: Path, out: Path) -> None:
    """Raises UnknownRow, FailedPrecondition where a package is missing, BadFile where the graph cannot be rewritten."""
    row = PRECISIONS[precision]
    try:
        row.make(graph, out)
    except RejoinderError:
        raise
    except Exception as error:
        # Converters of others, and a graph may be anybody's: what they raise is theirs.
        raise BadFile(f"{graph} has no form in {precision}: {first_line(error)}", precision=precision) from None


def first_line(error: Exception) -> str:
    """What a library says of a file, in a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
