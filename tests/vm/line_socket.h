// One end of a socket pair whose other end QEMU holds: whole lines in, whole lines out. Carries
// QMP, the guest agent's protocol, and what guest programs print.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "updater/base/result.h"
#include "updater/base/unique_fd.h"

namespace hostos {

class LineSocket {
 public:
  // Makes the pair; the far end is for QEMU's command line.
  static Result<LineSocket> Make();

  int fd() const { return near_.get(); }
  int far() const { return far_.get(); }
  // Called when QEMU has its own copy: from then on the end of QEMU is the end of the stream.
  void CloseFar() { far_ = UniqueFd(); }

  Result<> Send(std::string_view bytes);
  // Takes what has arrived, without waiting. False at the end of the stream.
  Result<bool> Receive();
  // The next whole line, without its end; absent when there is none yet.
  std::optional<std::string> NextLine();
  // Everything that arrived and was not taken by NextLine().
  const std::string& buffer() const { return buffer_; }
  void Clear() { buffer_.clear(); }

 private:
  UniqueFd near_, far_;
  std::string buffer_;
};

}  // namespace hostos
