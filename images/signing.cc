#include "images/signing.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "images/secrets.h"
#include "updater/base/clock.h"
#include "updater/base/text.h"

namespace hostos {
namespace {

// One sentence about the roles that `chosen` accepts; "" when there are none.
std::string Sentence(const std::vector<PublishedRole>& roles, const Arguments& arguments,
                     auto chosen) {
  std::string list;
  for (const PublishedRole& role : roles)
    if (chosen(role))
      list += std::format("{}{} version {} expires at {}", list.empty() ? "" : ", ", role.role,
                          role.version, FormatTimeIso(role.expires));
  if (list.empty()) return list;
  return std::format("{}; next: hostimage renew ROLE --repo {} --key FILE", list,
                     arguments.Get("repo"));
}

std::string Listed(const std::vector<std::string>& names) {
  return names.empty() ? "nobody" : Joined(names);
}

// One line.
std::string TextOf(const StagedRole& staged) {
  if (staged.version == 0)
    return std::format("  {:<9} follows, signed by {} of: {}\n", staged.role, staged.threshold,
                       Listed(staged.others));
  return std::format("  {:<9} version {}: {} of {} signatures of {}: {}; not yet: {}\n",
                     staged.role, staged.version, staged.signed_by.size(), staged.threshold,
                     staged.whose, Listed(staged.signed_by), Listed(staged.others));
}

Json ToJson(const std::vector<Change>& changes) {
  Json json = Json::array();
  for (const Change& change : changes) {
    Json& each = json.emplace_back(Json{{"what", change.what}});
    if (change.before) each["before"] = *change.before;
    if (change.after) each["after"] = *change.after;
  }
  return json;
}

// Asks about what waits for signatures. No answer means no.
bool Agreed(const std::string& text) {
  (void)std::fputs(Printable(text).c_str(), stderr);
  sigset_t none, before;  // so that an interrupt ends the prompt
  sigemptyset(&none);
  (void)::pthread_sigmask(SIG_SETMASK, &none, &before);
  std::array<char, 8> answer = {};
  const bool yes =
      std::fgets(answer.data(), answer.size(), stdin) && (std::string_view(answer.data()) == "y\n");
  (void)::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return yes;
}

Result<> CheckDigest(const Staging& staging, const std::string& given, const std::string& repo) {
  constexpr size_t kLeast = 32, kWhole = 64;  // digits: fewer could be forged
  if (given.size() < kLeast || given.size() > kWhole ||
      given.find_first_not_of("0123456789abcdef") != given.npos)
    return Fail(Code::kUsage, "--digest: expected {} to {} hexadecimal digits, found \"{}\"",
                kLeast, kWhole, given);
  if (staging.digest.starts_with(given)) return {};
  return Fail(Code::kRefused,
              "--digest: expected that of what is staged now, {}, found {}: it is not what was "
              "looked at; hostimage staged --repo {}",
              staging.digest, given, repo);
}

}  // namespace

Result<Signing> OpenFrom(const Arguments& arguments) {
  std::vector<SecretKey> keys = TRY(KeysFrom(arguments, "key"));
  auto repository = TRY(TufRepository::Open(arguments.Get("repo"), SystemClock().Now()));
  return Signing{std::move(keys), std::move(repository)};
}

Result<> CheckFresh(const std::vector<PublishedRole>& roles, const Arguments& arguments,
                    uint64_t now) {
  const std::string expired =
      Sentence(roles, arguments, [&](const PublishedRole& role) { return role.expires <= now; });
  if (expired.empty()) return {};
  return Fail(Code::kNotTrusted, "nodes refuse what is published: {}", expired);
}

std::string Due(const std::vector<PublishedRole>& roles, const Arguments& arguments, uint64_t now) {
  return Sentence(roles, arguments, [&](const PublishedRole& role) { return role.due <= now; });
}

std::string TextOf(const Staging& staging) {
  std::string text;
  for (const std::string& role : kTufRoles) {
    const auto changes = staging.changes.find(role);
    if (changes == staging.changes.end()) continue;
    text += role + "\n";
    for (const Change& change : changes->second) text += std::format("  {}\n", TextOf(change));
  }
  if (staging.root.first > 0)
    text += std::format("begins with {}.root.json, SHA-256 {}\n", staging.root.first,
                        staging.root.second);
  return text + std::format("digest {}\n", staging.digest);
}

Json ToJson(const Staging& staging) {
  Json json = {{"digest", staging.digest}, {"changes", Json::object()}};
  for (const auto& [role, changes] : staging.changes) json["changes"][role] = ToJson(changes);
  if (staging.root.first > 0)
    json["root"] = {{"version", staging.root.first}, {"sha256", staging.root.second}};
  return json;
}

Json ToJson(const std::vector<StagedRole>& roles) {
  Json json = Json::array();
  for (const StagedRole& staged : roles)
    json.push_back({{"role", staged.role},
                    {"version", staged.version == 0 ? Json() : Json(staged.version)},
                    {"keys", staged.whose},
                    {"threshold", staged.threshold},
                    {"signed_by", staged.signed_by},
                    {"not_yet", staged.others}});
  return json;
}

Result<> CheckSeen(const Signing& signing, const Arguments& arguments, Json& done) {
  if (!signing.found_staged || signing.keys.empty()) return {};
  const Staging staging = TRY(signing.repository.Difference());
  done["staged"] = ToJson(staging);
  const std::string& repo = arguments.Get("repo");
  if (arguments.Has(kDigest.name)) {
    if (!arguments.Has("json")) Print(TextOf(staging));
    return CheckDigest(staging, arguments.Get(kDigest.name), repo);
  }
  if (::isatty(STDIN_FILENO) != 1)
    return Fail(Code::kUsage,
                "{0}: expected a terminal, to ask whether to sign what is staged, or its --digest, "
                "found neither; next: hostimage staged --repo {0}, then hostimage sign --repo {0} "
                "--digest DIGEST --key FILE",
                repo);
  if (Agreed(TextOf(staging) + "Sign this? y/N: ")) return {};
  return Fail(Code::kFailed, "nothing was signed; to forget it: hostimage abandon --repo {}", repo);
}

Result<> CheckComplete(const std::vector<StagedRole>& missing, const Arguments& arguments) {
  if (missing.empty()) return {};
  std::string list;
  for (const StagedRole& staged : missing) list += TextOf(staged);
  return Fail(Code::kStaged,
              "staged, and lacks signatures; nodes see nothing of it yet:\n{0}next, each of them: "
              "hostimage staged --repo {1}, then hostimage sign --repo {1} --digest DIGEST --key "
              "FILE",
              list, arguments.Get("repo"));
}

Result<> Finish(Signing& signing, const Arguments& arguments, const SignResult& result, Json done) {
  done["published"] = result.missing.empty();
  done["roles"] = result.published;
  done["waiting"] = ToJson(result.missing);
  if (arguments.Has("json")) {
    Print(done);
  } else if (!result.published.empty()) {
    Print(std::format("published: {}\n", Listed(result.published)));
  }
  TRY(CheckComplete(result.missing, arguments));
  const std::vector<PublishedRole> roles = TRY(signing.repository.Published());
  TRY(CheckFresh(roles, arguments, signing.repository.now()));
  if (const std::string due = Due(roles, arguments, signing.repository.now()); !due.empty())
    (void)std::fputs(Printable(std::format("hostimage: soon to be renewed: {}\n", due)).c_str(),
                     stderr);
  return {};
}

Result<> Sign(Signing& signing, const Arguments& arguments, Json done) {
  TRY(CheckSeen(signing, arguments, done));
  const SignResult result = TRY(signing.repository.Sign(signing.keys));
  return Finish(signing, arguments, result, std::move(done));
}

}  // namespace hostos
