#include "updater/hostctl/failure.h"

#include <algorithm>

#include "updater/health/printable.h"

namespace hostos {
namespace {

std::vector<std::string> Entries(const BootState& state) {
  std::vector<std::string> files;
  for (const BootEntry& entry : state.entries) files.push_back(entry.file);
  return files;
}

bool Same(const BootState& a, const BootState& b, Slot slot) {
  return Entries(a) == Entries(b) && a.slot(slot).label == b.slot(slot).label &&
         a.slot(slot).root_hash == b.slot(slot).root_hash;
}

}  // namespace

std::string WhatIsLeft(const BootState& before, const Result<BootState>& after, bool began) {
  const Slot other = Other(before.running);
  if (!after) return "The running system is unchanged.";
  if (!began && Same(before, *after, other)) return "Nothing was changed.";
  if (after->next() == other)
    return std::format("The running system is unchanged; slot {} boots next.", Name(other));
  if (!after->EntryOf(other))
    return std::format(
        "The running system is unchanged; slot {} is not bootable until an update succeeds.",
        Name(other));
  return "The running system is unchanged, and boots next.";
}

std::string Advice(Code code, const Invocation& invocation) {
  const Verb verb = invocation.command ? invocation.command->verb : Verb::kStatus;
  switch (code) {
    case Code::kUsage:
      return "";
    case Code::kBusy:
      return "Wait until it is done, then run it again; `hostctl status` shows how far it is.";
    case Code::kNetwork:
      return "Check the network and [source] url in /etc/hostctl/hostctl.toml, then run it again: "
             "it resumes.";
    case Code::kNotTrusted:
      return verb == Verb::kUpdate
                 ? "Nothing untrusted was installed. Compare the keys in /etc/hostctl/keys.d and "
                   "/usr/lib/hostos/keys.d with those of the release's publisher."
                 : "";
    case Code::kNoSpace:
      return verb == Verb::kUpdate ? "Make room, then run it again: it resumes." : "";
    case Code::kRefused:
      return std::format("See why: hostctl status --why. Try it again: hostctl update{}{} --retry",
                         invocation.version ? " --version " : "", invocation.version.value_or(""));
    case Code::kUnhealthy:
      return "`hostctl health` shows every check.";
    case Code::kNothingToDo:
    case Code::kStaged:
    case Code::kNotSupported:
    case Code::kFailed:
    case Code::kNotFound:
      break;
  }
  return "";
}

std::string FailureText(const Error& error, const std::string& left, const std::string& advice) {
  const std::string message = Printable(error.message);
  const size_t end = std::min(message.find('\n'), message.size());
  std::string text = "hostctl: " + message.substr(0, end) + "\n";
  const std::string rest = message.substr(std::min(end + 1, message.size()));
  for (const std::string& line : {left, rest, advice})
    if (!line.empty()) text += line + "\n";
  return text;
}

}  // namespace hostos
