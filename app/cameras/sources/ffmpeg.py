"""Reads a stream or a device by FFmpeg; needs PyAV."""

import socket
from urllib.parse import quote, urlsplit

import av
import av.logging
from av.error import FFmpegError, HTTPError

from app.cameras.frames.frame import Frame
from app.cameras.frames.video_frame import VideoFrameContent
from app.cameras.sources.newest_frame import NewestFrame, VideoRequest

CONNECT_S, OPEN_S = 1.5, 4.0
PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
MAX_DAMAGED = 100  # packets in a row
NETWORK = "tcp,tls,udp,rtp,srtp,crypto"
# What an address, or a playlist that it answers, may make FFmpeg open. No files.
PROTOCOLS = {
    "rtsp": f"rtsp,{NETWORK}",
    "rtsps": f"rtsp,rtsps,{NETWORK}",
    "rtmp": f"rtmp,rtmpt,{NETWORK}",
    "rtmps": f"rtmp,rtmps,{NETWORK}",
    "srt": "srt,udp",
    "udp": "udp",
    "rtp": "rtp,udp",
    "http": f"http,https,{NETWORK}",
    "https": f"http,https,{NETWORK}",
}
FORMATS = {"rtsp": "rtsp", "rtsps": "rtsp"}  # others are recognised by their content
ALLOWED_FORMATS = "hls,mpegts,mov,flv,live_flv,matroska,mpjpeg,mjpeg,h264,hevc,rtp,sdp,rtsp"

av.logging.set_level(None)  # its lines could hold addresses with passwords


def read_frames(request: VideoRequest, device: bool, newest: NewestFrame) -> str:
    """Put each frame into `newest` until that is stopped; the reason of any other end.

    Reads as fast as frames arrive, so that none waits in FFmpeg.
    """
    if device:
        url, format_name, options = request.url, "v4l2", dict[str, str]()
    elif not _is_reachable(request.url):
        return "Cannot connect to the camera."
    else:
        scheme = urlsplit(request.url).scheme
        url, format_name = _with_credentials(request), FORMATS.get(scheme, "")
        options = _options(scheme, request)
    try:
        with av.open(
            url,
            format=format_name or None,
            options=options,
            timeout=(OPEN_S, request.stalled_s),
            metadata_errors="ignore",
        ) as container:
            if not container.streams.video:
                return "The stream has no video."
            return _decode(container, request, newest)
    except HTTPError as error:
        return f"The camera answers {error.__class__.__name__.removeprefix('HTTP')}."
    except FFmpegError as error:
        return _reason(error)


def _is_reachable(url: str) -> bool:
    """Whether something listens there, of an address by TCP: FFmpeg would wait for longer."""
    parts = urlsplit(url)
    port = parts.port or PORTS.get(parts.scheme)
    if port is None or parts.scheme not in PORTS:
        return True
    try:
        socket.create_connection((parts.hostname, port), CONNECT_S).close()
    except OSError:
        return False
    return True


def _decode(
    container: "av.container.InputContainer", request: VideoRequest, newest: NewestFrame
) -> str:
    stream = container.streams.video[0]
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > request.max_pixels:
        return (
            f"The stream has {width} x {height} pixels; the maximum is {request.max_pixels}. "
            "Set `source` to a smaller stream of the camera."
        )
    stream.thread_type = "NONE"  # threads that decode ahead hold frames back
    stream.codec_context.options = {"max_pixels": str(request.max_pixels)}
    damaged = 0
    for packet in container.demux(stream):
        if newest.stopped:
            return "Stopped."
        try:
            frames = packet.decode()
        except FFmpegError:
            damaged += 1
            if damaged > MAX_DAMAGED:
                return "The stream is damaged."
            continue
        for frame in frames:
            damaged = 0
            newest.put(Frame(VideoFrameContent(frame)))
    return "The stream ended."


def _options(scheme: str, request: VideoRequest) -> dict[str, str]:
    options = {
        "protocol_whitelist": PROTOCOLS[scheme],
        "fflags": "nobuffer",
        "analyzeduration": "1000000",  # in microseconds; five times as long by default
        "fpsprobesize": "0",
        "flags": "low_delay",
    }
    if scheme in FORMATS:
        options |= {"rtsp_transport": "tcp", "allowed_media_types": "video"}
        options["timeout"] = str(int(request.stalled_s * 1e6))
    else:
        options["format_whitelist"] = ALLOWED_FORMATS
    if scheme in ("https", "rtsps", "rtmps"):
        options["tls_verify"] = str(int(request.verify_tls))
    return options


def _with_credentials(request: VideoRequest) -> str:
    if request.credentials is None:
        return request.url
    parts = urlsplit(request.url)
    user, password = (quote(one, safe="") for one in request.credentials)
    return parts._replace(netloc=f"{user}:{password}@{parts.netloc}").geturl()


def _reason(error: FFmpegError) -> str:
    """Why the stream cannot be read, without the text of the error, which holds the address."""
    kind = type(error).__name__.removesuffix("Error")
    known = {
        "Exit": "The camera does not answer, or has stopped sending.",
        "Timeout": "The camera does not answer, or has stopped sending.",
        "ConnectionRefused": "Cannot connect to the camera.",
        "EOF": "The stream ended.",
        "InvalidData": "The camera sends no stream that can be read.",
        "FileNotFound": "There is no such device.",
        "Permission": "No permission to read it.",
        "ProtocolNotFound": "The stream refers to an address of a kind that is not allowed.",
    }
    return known.get(kind, f"The stream cannot be read ({kind}).")
