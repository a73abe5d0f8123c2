// A web server that misbehaves as a script tells it to: what nginx cannot be made to do.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "updater/base/unique_fd.h"

namespace hostos {

// What it does instead of sending a file as it is.
enum class Mischief {
  kNone,
  kStall,          // the headers and half of the body, then nothing, and the connection stays
  kDrip,           // one byte a second
  kReset,          // RST after half of the body
  kLengthTooLong,  // Content-Length says more than comes
  kLengthTooShort,
  kEndless,          // the file, then zeros for ever
  kProxyPage,        // status 200 and an HTML page about something else
  kRedirectToPlain,  // to http on another port
  kTimeout,          // 408
  kTooMany,          // 429, Retry-After: 1
  kTooManyForLong,   // 429, Retry-After: 86400
  kError,            // 500
  kOther,            // the bytes of `other` in place of the file's
};

class HostileServer {
 public:
  // What to do with the `count`th request (from 0) for `path`. Called from several threads.
  using Script = std::function<Mischief(const std::string& path, int count)>;

  // Serves `root`; `other` are the bytes of kOther.
  HostileServer(std::string root, Script script, std::string other = "");
  HostileServer(const HostileServer&) = delete;
  HostileServer& operator=(const HostileServer&) = delete;
  ~HostileServer();

  std::string url() const;
  int requests(const std::string& path) const;
  uint64_t sent() const { return sent_; }

 private:
  void Accept();
  void Serve(int connection);
  // False when the connection has to end.
  bool Answer(int connection, const std::string& path);
  bool Send(int connection, std::string_view bytes);
  // Waits until the client goes away; false, for Answer.
  bool Wait(int connection);

  const std::string root_;
  const Script script_;
  const std::string other_;
  UniqueFd listener_;
  uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::map<std::string, int> counts_;
  std::list<UniqueFd> connections_;
  std::list<std::thread> threads_;
  std::atomic<uint64_t> sent_ = 0;
  std::thread acceptor_;
};

}  // namespace hostos
