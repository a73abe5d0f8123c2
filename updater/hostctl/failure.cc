#include "updater/hostctl/failure.h"

#include <algorithm>

#include "updater/base/printable.h"

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

// Advice for a source of releases that is not trusted.
std::string WhyNotTrusted(std::string_view message, const Invocation& invocation) {
  static constexpr struct {
    std::string_view words, advice;
  } kCauses[] = {
      {" expired at ",
       "Whoever publishes has to renew it (hostimage check --repo DIR says what is due: hostimage "
       "renew ROLE --repo DIR --key FILE); a mirror or a bundle is made anew after that. Or the "
       "clock of this machine is ahead: timedatectl"},
      {": rollback: ",
       "This machine has seen newer metadata than is offered here: a mirror that is behind, a "
       "bundle from before the last `hostctl update`, or somebody who holds updates back. Copy the "
       "mirror again (hostimage mirror), or make the bundle anew (hostimage bundle)."},
      {" in the order of releases, before ",
       "This machine has run a newer one. What is in the other slot comes back with: hostctl "
       "rollback. To have an older system everywhere, publish it as a new release."},
      {", before the newest release this machine committed to",
       "It was made before the one that this machine has run: commit it again with a later time "
       "(hostimage commit --timestamp), and publish that."},
      {" was withdrawn: ", "Take the channel's newest: hostctl update"},
      {"time of the release: ",
       "It was made with a clock that is wrong: withdraw it, and commit it again (hostimage "
       "withdraw, hostimage commit). Or the clock of this machine is behind: timedatectl"},
      {" trusted keys, found ",
       "Compare the keys in /etc/hostctl/keys.d and /usr/lib/hostos/keys.d with those of the "
       "release's publisher (hostimage public --key FILE), and the policy: `signatures` and "
       "`required_signatures` in /etc/hostctl/hostctl.toml."},
      {"no trusted key: ", "Put the publisher's public key into /etc/hostctl/keys.d/NAME.pub."},
      {": expected good signatures by ",
       "The metadata is not signed by whom this machine trusts: its first root is "
       "/usr/lib/hostos/tuf/root.json. Compare it with metadata/1.root.json where releases come "
       "from; if that is the right publisher's, it is damaged: hostimage check --repo DIR"},
  };
  for (const auto& [words, advice] : kCauses)
    if (message.contains(words)) return std::string(advice);
  return std::format(
      "What is at {} is not what was signed. Try it again; if it stays, whoever publishes proves "
      "it: hostimage check --repo DIR, hostimage verify REF --repo DIR --keys DIR",
      invocation.from ? *invocation.from : "[source] url in /etc/hostctl/hostctl.toml");
}

}  // namespace

std::string WhatIsLeft(const BootState& before, const Result<BootState>& after, bool began) {
  const Slot other = before.target();
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

std::string Advice(const Error& error, const Invocation& invocation) {
  const Verb verb = invocation.command ? invocation.command->verb : Verb::kStatus;
  switch (error.code) {
    case Code::kUsage:
      return "";
    case Code::kBusy:
      return "Wait until it is done, then run it again; `hostctl status` shows how far it is.";
    case Code::kNetwork:
      return "Check the network and [source] url in /etc/hostctl/hostctl.toml, then run it again: "
             "it resumes.";
    case Code::kNotTrusted:
      return verb == Verb::kUpdate
                 ? "Nothing untrusted was installed. " + WhyNotTrusted(error.message, invocation)
                 : "";
    case Code::kNoSpace:
      return verb == Verb::kUpdate ? "Make room, then run it again: it resumes." : "";
    case Code::kRefused:
      return std::format("See why: hostctl status --why. Try it again: hostctl update{}{} --retry",
                         invocation.version ? " --version " : "", invocation.version.value_or(""));
    case Code::kNotNow:
      return "Run it again on another network, or take the release from a directory or a bundle "
             "(--from). Over this one, for once: hostctl update --allow-metered";
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
