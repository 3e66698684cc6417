"""A camera by RTSP: GStreamer's server, run by Debian's Python. Ends with its input.

Needs `apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good
gstreamer1.0-plugins-ugly`. Run as `/usr/bin/python3 rtsp_server.py PORT RATE`: it imports nothing
of this project.
"""

import sys
import threading
from typing import Any

PIPELINE = (
    "( videotestsrc is-live=true pattern=ball animation-mode=wall-time"
    " ! video/x-raw,width=640,height=480,framerate={rate}/1"
    " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={rate}"
    " ! rtph264pay name=pay0 config-interval=1 )"
)


def main(port: str, rate: str) -> None:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    server: Any = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PIPELINE.format(rate=rate))
    factory.set_shared(True)
    server.get_mount_points().add_factory("/cam", factory)
    server.attach(None)
    loop = GLib.MainLoop()

    def wait_for_end() -> None:
        sys.stdin.read()
        loop.quit()

    threading.Thread(target=wait_for_end, daemon=True).start()
    print("ready", flush=True)
    loop.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
