#pragma once

namespace teal {

/// Keeps the kernel from growing the receive window of a nearby TCP peer to megabytes. The walsender sends each row by
/// itself; while the window is open each is a segment of its own, and only what is sent once it has closed travels
/// together. A window that grows with the traffic never closes, and decoding took up to twice as long (measured:
/// bench/README.md). A peer that is further away needs the large window to fill the line; there nothing is changed.
/// Returns whether the window is limited. Errors: none, because a stream is right without it.
/// Source: Linux manual, tcp(7): SO_RCVBUF turns the growth off.
bool limit_receive_window(int socket) noexcept;

}  // namespace teal
