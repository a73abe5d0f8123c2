// One end of a socket pair whose other end is QEMU's: whole lines in, whole lines out. Carries QMP,
// the guest agent's protocol, and the output of guest programs.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "updater/base/result.h"
#include "updater/base/unique_fd.h"

namespace hostos {

class LineSocket {
 public:
  // Makes the pair; the far end goes on QEMU's command line.
  static Result<LineSocket> Make();

  int fd() const { return near_.get(); }
  int far() const { return far_.get(); }
  // Call it when QEMU has its own copy. From then on the stream ends when QEMU ends.
  void CloseFar() { far_ = UniqueFd(); }

  Result<> Send(std::string_view bytes);
  // Takes what has arrived, without waiting. False at the end of the stream.
  Result<bool> Receive();
  // The next whole line, without its line end; absent if none has arrived yet.
  std::optional<std::string> NextLine();
  // Everything that arrived and that NextLine() has not returned.
  const std::string& buffer() const { return buffer_; }
  void Clear() { buffer_.clear(); }

 private:
  UniqueFd near_, far_;
  std::string buffer_;
};

}  // namespace hostos
