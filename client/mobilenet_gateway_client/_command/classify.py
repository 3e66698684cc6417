"""`classify`: a folder of images through a gateway, into a table."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice
from typing import NoReturn

from mobilenet_gateway_client._client import Client
from mobilenet_gateway_client._command.arguments import (
    DESCRIPTION,
    PATIENCE_S,
    Arguments,
    Parser,
    add_arguments,
    check_arguments,
)
from mobilenet_gateway_client._command.local import open_local
from mobilenet_gateway_client._command.progress import Progress, open_progress
from mobilenet_gateway_client._command.run import (
    Images,
    Summary,
    check_output,
    classify_folder,
)
from mobilenet_gateway_client._command.run_file import Identity
from mobilenet_gateway_client._errors import ClientError
from mobilenet_gateway_client._retry import Retry
from mobilenet_gateway_client._transport import without_credentials

TOP_K = 5
MAX_NAMED = 20  # failed files at the end of a run
INTERRUPTED = 130  # the status that a shell reports for SIGINT


def classify(program: str, arguments: Sequence[str]) -> int:
    parser = Parser(program, description=DESCRIPTION)
    add_arguments(parser)
    return run(parser.parse_args(arguments, Arguments()))


def run(arguments: Arguments) -> int:
    """Run `classify`; returns the exit status."""
    check_arguments(arguments)
    try:
        check_output(arguments.table, embeddings=arguments.embeddings is not None)
        with open_progress() as progress:
            summary = _classify(arguments, progress)
    except (ClientError, ValueError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename or arguments.table}: {error.strerror or error}")
    except KeyboardInterrupt:
        return INTERRUPTED
    print(json.dumps(asdict(summary), indent=2) if arguments.as_json else _text(summary))
    if summary.stopped:
        return INTERRUPTED
    return 1 if summary.failed_files else 0


def _classify(arguments: Arguments, progress: Progress) -> Summary:
    def exit_now() -> NoReturn:
        progress.restore_terminal()
        os._exit(INTERRUPTED)

    def classified(images: Images, address: str, default_model: Callable[[], str]) -> Summary:
        identity = Identity(
            address,
            str(arguments.folder.resolve()),
            arguments.model or default_model(),
            arguments.resolution,
            1 if arguments.embeddings else arguments.top_k or TOP_K,
            arguments.recursive,
        )
        return classify_folder(
            images,
            identity,
            arguments.table,
            progress,
            exit_now,
            embeddings=arguments.embeddings is not None,
            retry_failed=arguments.retry_failed,
            explain=arguments.explain,
        )

    if arguments.local:
        progress.wait("Loading the model")
        with open_local(
            arguments.model, arguments.store, arguments.resolution, arguments.workers
        ) as images:
            return classified(images, images.address, lambda: images.default_model)
    patience_s = PATIENCE_S if arguments.patience_s is None else arguments.patience_s
    with Client(
        arguments.addresses,
        api_key=arguments.key,
        retry=Retry(patience_s),
        concurrency=arguments.concurrency,
    ) as client:
        address = ", ".join(sorted(map(without_credentials, arguments.addresses)))
        # A mistyped address looks like a gateway that is down, so show it while waiting.
        progress.wait(f"Connecting to {address} for up to {patience_s:g} s")
        return classified(client, address, lambda: client.info().default_model)


def _text(summary: Summary) -> str:
    """What a run did, and the files without a result."""
    failed = [
        f"failed: {_printable(name)}: {_printable(detail)}"
        for name, detail in islice(summary.failed_files.items(), MAX_NAMED)
    ]
    if more := len(summary.failed_files) - len(failed):
        failed.append(f"and {more} more, in the rows with an error")
    if failed:
        failed.append("Add --retry-failed to classify failed files again.")
    return "\n".join([_sentence(summary), *failed])


def _printable(text: str) -> str:
    """Without characters that control a terminal or are not UTF-8."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _sentence(summary: Summary) -> str:
    parts = [f"{summary.classified} classified"]
    if summary.failed:
        parts.append(f"{summary.failed} failed")
    if summary.done_before:
        failed = f" ({summary.failed_before} of them failed)" if summary.failed_before else ""
        parts.append(f"{summary.done_before} done before{failed}")
    if summary.passed_over:
        parts.append(f"{summary.passed_over} other files skipped")
    text = f"{summary.files} images: {', '.join(parts)}"
    if summary.classified + summary.failed:
        text += f"; {summary.took_s:.1f} s, {summary.images_per_s:.0f} images/s"
    if summary.stopped:
        return f"{text}; stopped, run it again to continue: {summary.output}"
    return f"{text}: {summary.output}"
