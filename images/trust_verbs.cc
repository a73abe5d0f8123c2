// The verbs that decide what nodes find. Each stages a change of the TUF repository, signs it with
// the keys at hand, and publishes what is complete.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "images/bundle_release.h"
#include "images/metadata_files.h"
#include "images/publish_release.h"
#include "images/secrets.h"
#include "images/tuf_repository.h"
#include "images/verb_options.h"
#include "images/verbs.h"
#include "images/work_directory.h"
#include "updater/base/clock.h"
#include "updater/base/text.h"
#include "updater/source/archive.h"
#include "updater/source/files.h"
#include "updater/tuf/client.h"

namespace hostos {
namespace {

constexpr Option kSigningKeys = {
    "key", "KEY", Times::kAnyNumber,
    "secret keys (FILE, env:NAME or pkcs11:...), each for the roles that are its own"};
constexpr Option kChannel = {"channel", "NAME", Times::kOnce, "the channel"};
constexpr Option kMinimum = {
    "minimum-index", "N", Times::kAtMostOnce,
    "nodes take nothing with a smaller index any more, and the release has no "
    "smaller one"};

constexpr Option kDigest = {
    "digest", "SHA256", Times::kAtMostOnce,
    "sign what `staged` showed with this digest, or its first 32 digits, and do not ask"};

// Keys that cannot be read are found out before anything is staged.
struct Signing {
  std::vector<SecretKey> keys;
  TufRepository repository;
  bool found_staged = repository.HasStaged();  // by whoever came before
};

Result<Signing> OpenFrom(const Arguments& arguments) {
  std::vector<SecretKey> keys = TRY(KeysFrom(arguments, "key"));
  return Signing{std::move(keys),
                 TRY(TufRepository::Open(arguments.Get("repo"), SystemClock().Now()))};
}

Result<PublishOptions> OptionsFrom(const Arguments& arguments) {
  return PublishOptions{.repo = arguments.Get("repo"),
                        .product = ProductFrom(arguments),
                        .architecture = ArchitectureFrom(arguments),
                        .version = arguments.operand(),
                        .minimum_index = TRY(arguments.Number("minimum-index")).value_or(0)};
}

// A sentence about the roles that `chosen` says something of; "" when there is none.
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

// Is what nodes see fresh? kNotTrusted when they refuse it.
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

std::string Listed(const std::vector<std::string>& names) {
  return names.empty() ? "nobody" : Joined(names);
}

// A line.
std::string TextOf(const StagedRole& staged) {
  if (staged.version == 0)
    return std::format("  {:<9} follows, signed by {} of: {}\n", staged.role, staged.threshold,
                       Listed(staged.others));
  return std::format("  {:<9} version {}: {} of {} signatures of {}: {}; not yet: {}\n",
                     staged.role, staged.version, staged.signed_by.size(), staged.threshold,
                     staged.whose, Listed(staged.signed_by), Listed(staged.others));
}

// What those who sign look at.
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

Json ToJson(const std::vector<Change>& changes) {
  Json json = Json::array();
  for (const Change& change : changes) {
    Json& each = json.emplace_back(Json{{"what", change.what}});
    if (change.before) each["before"] = *change.before;
    if (change.after) each["after"] = *change.after;
  }
  return json;
}

Json ToJson(const Staging& staging) {
  Json json = {{"digest", staging.digest}, {"changes", Json::object()}};
  for (const auto& [role, changes] : staging.changes) json["changes"][role] = ToJson(changes);
  if (staging.root.first > 0)
    json["root"] = {{"version", staging.root.first}, {"sha256", staging.root.second}};
  return json;
}

// Of what waits for its answer; no answer is no.
bool Agreed(const std::string& text) {
  (void)std::fputs(Printable(text).c_str(), stderr);
  sigset_t none, before;  // an interrupt has to end it
  sigemptyset(&none);
  (void)::pthread_sigmask(SIG_SETMASK, &none, &before);
  std::array<char, 8> answer = {};
  const bool yes =
      std::fgets(answer.data(), answer.size(), stdin) && (std::string_view(answer.data()) == "y\n");
  (void)::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return yes;
}

Result<> CheckDigest(const Staging& staging, const std::string& given, const std::string& repo) {
  constexpr size_t kLeast = 32, kWhole = 64;  // digits: fewer could be met on purpose
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

// Nobody signs what they were not shown. What a verb has just made from what is published, whoever
// runs it knows; what was staged before, or came on a stick, is looked at.
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

// kStaged when signatures are missing.
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

// Every verb ends here.
Result<> Finish(Signing& signing, const Arguments& arguments, const SignResult& result,
                Json done = Json::object()) {
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

Result<> Sign(Signing& signing, const Arguments& arguments, Json done = Json::object()) {
  TRY(CheckSeen(signing, arguments, done));
  const SignResult result = TRY(signing.repository.Sign(signing.keys));
  return Finish(signing, arguments, result, std::move(done));
}

// root --------------------------------------------------------------------------------------------

constexpr Option kRootOptions[] = {
    kRepo,
    {"root-key", "FILE", Times::kAnyNumber, "public keys that may sign the next root"},
    {"targets-key", "FILE", Times::kAnyNumber, "public keys that may sign releases"},
    {"snapshot-key", "FILE", Times::kAnyNumber, "public keys that may sign what there is"},
    {"timestamp-key", "FILE", Times::kAnyNumber, "public keys that may sign that it is current"},
    {"threshold", "ROLE=N", Times::kAnyNumber, "how many of a role's keys have to sign (first: 1)"},
    {"days", "ROLE=N", Times::kAnyNumber,
     "how long a version counts (first: root 365, targets 180, snapshot 60, timestamp 7)"},
    kSigningKeys,
    kPassphraseFile,
    kJson,
};

// "ROLE=N", into `changes`.
Result<> SetNumber(std::map<std::string, RoleChange>& changes, const char* option,
                   const std::string& text, std::optional<uint32_t> RoleChange::* member) {
  const size_t equals = text.find('=');
  const std::string role = text.substr(0, equals);
  if (equals == std::string::npos || !changes.contains(role))
    return Fail(Code::kUsage,
                "--{}: expected root, targets, snapshot or timestamp, then =N, found "
                "\"{}\"",
                option, text);
  const uint64_t number = TRY_CONTEXT(text, ParseNumber(std::string_view(text).substr(equals + 1)));
  if (number < 1 || number > 36'500)
    return Fail(Code::kUsage, "--{}: expected 1 to 36500, found \"{}\"", option, text);
  changes[role].*member = static_cast<uint32_t>(number);
  return {};
}

Result<> RunRoot(const Arguments& arguments) {
  std::map<std::string, RoleChange> changes;
  for (const std::string& role : kTufRoles)
    for (RoleChange& change = changes[role]; const std::string& file : arguments.All(role + "-key"))
      std::ranges::move(TRY(PublicKey::Load(file)), std::back_inserter(change.keys));
  for (const std::string& text : arguments.All("threshold"))
    TRY(SetNumber(changes, "threshold", text, &RoleChange::threshold));
  for (const std::string& text : arguments.All("days"))
    TRY(SetNumber(changes, "days", text, &RoleChange::days));
  std::vector<SecretKey> keys = TRY(KeysFrom(arguments, "key"));
  Signing signing{std::move(keys),
                  TRY(TufRepository::Create(arguments.Get("repo"), SystemClock().Now()))};
  TRY(signing.repository.StageRoot(changes));
  return Sign(signing, arguments);
}

// publish, promote, withdraw ----------------------------------------------------------------------

constexpr Option kPublishOptions[] = {kRepo,        kArchitecture,   kMinimum, kProduct,
                                      kSigningKeys, kPassphraseFile, kJson};

Result<> RunPublish(const Arguments& arguments) {
  Signing signing = TRY(OpenFrom(arguments));
  const PublishOptions options = TRY(OptionsFrom(arguments));
  const ReleaseTarget release = TRY(PublishRelease(signing.repository, options));
  return Sign(signing, arguments, ToJson(release));
}

constexpr Option kPromoteOptions[] = {
    kRepo,
    kChannel,
    {"commit-key", "KEY", Times::kAtLeastOnce, "secret keys to sign the commit with"},
    kArchitecture,
    kMinimum,
    kProduct,
    kSigningKeys,
    kPassphraseFile,
    kJson,
};

Result<> RunPromote(const Arguments& arguments) {
  const std::vector<SecretKey> keys = TRY(KeysFrom(arguments, "commit-key"));
  Signing signing = TRY(OpenFrom(arguments));
  const PublishOptions options = TRY(OptionsFrom(arguments));
  const ReleaseTarget release =
      TRY(PromoteRelease(signing.repository, options, arguments.Get("channel"), keys));
  return Sign(signing, arguments, ToJson(release));
}

constexpr Option kWithdrawOptions[] = {kRepo,        kChannel,        kArchitecture, kProduct,
                                       kSigningKeys, kPassphraseFile, kJson};

Result<> RunWithdraw(const Arguments& arguments) {
  Signing signing = TRY(OpenFrom(arguments));
  const std::string product = ProductFrom(arguments), architecture = ArchitectureFrom(arguments),
                    &channel = arguments.Get("channel");
  const std::vector<ReleaseTarget> before =
      TRY(signing.repository.Releases(product, architecture, channel));
  const std::optional<ReleaseTarget> newest =
      TRY(signing.repository.StageWithdrawal(product, architecture, channel, arguments.operand()));
  Json done = Json::object();
  TRY(CheckSeen(signing, arguments, done));
  const SignResult result = TRY(signing.repository.Sign(signing.keys));
  const auto withdrawn =
      std::ranges::find(before, arguments.operand(), &ReleaseTarget::version);  // it was there
  TRY(LeaveRelease(arguments.Get("repo"), *withdrawn, newest));
  return Finish(signing, arguments, result, std::move(done));
}

// renew, sign, releases ---------------------------------------------------------------------------

constexpr Option kRenewOptions[] = {kRepo, kSigningKeys, kPassphraseFile, kJson};
constexpr Option kSignOptions[] = {kRepo, kDigest, kSigningKeys, kPassphraseFile, kJson};

Result<> RunRenew(const Arguments& arguments) {
  Signing signing = TRY(OpenFrom(arguments));
  const SignResult result = TRY(signing.repository.Renew(arguments.operand(), signing.keys));
  TRY(Finish(signing, arguments, result));
  const std::string due =
      Due(TRY(signing.repository.Published()), arguments, signing.repository.now());
  if (due.empty()) return {};
  return Fail(Code::kUnhealthy, "the keys given are not enough to renew what is due: {}", due);
}

// check -------------------------------------------------------------------------------------------

constexpr Option kCheckOptions[] = {
    kRepo,
    {"within", "DAYS", Times::kAtMostOnce,
     "what expires within so many days is due (default: a quarter of what its role counts)"},
    kJson,
};

// Follows what is published as a node does that has the oldest root and nothing else.
Result<> FollowAsNode(const std::string& repo, uint64_t now) {
  const WorkDirectory work = TRY(WorkDirectory::Beside(repo + "/node"));
  Archive archive = TRY(Archive::Open(repo));
  const std::string oldest = TRY(OldestRoot(repo));
  const std::string root = TRY(archive.Fetch(oldest, tuf::kRootCap));
  TRY(tuf::Client::Init(work.path(), root));
  Folder metadata(archive, "metadata/");
  TRY(tuf::Client::Refresh(work.path(), metadata, now));
  return {};
}

Result<> RunCheck(const Arguments& arguments) {
  const uint64_t now = SystemClock().Now();
  const std::optional<uint64_t> within = TRY(arguments.Number("within"));
  if (within && *within > 36'500)
    return Fail(Code::kUsage, "--within: expected at most 36500, found {}", *within);
  const TufRepository repository = TRY(TufRepository::Open(arguments.Get("repo"), now));
  std::vector<PublishedRole> roles = TRY(repository.Published());
  Json json = {{"roles", Json::array()}};
  std::string text;
  for (PublishedRole& role : roles) {
    if (within) role.due = role.expires - std::min(role.expires, *within * 86'400);
    const char* state = role.expires <= now ? "expired" : role.due <= now ? "due" : "good";
    json["roles"].push_back({{"role", role.role},
                             {"version", role.version},
                             {"expires", FormatTimeIso(role.expires)},
                             {"state", state}});
    text += std::format("{:<10} {:>6}  expires {}  {}\n", role.role, role.version,
                        FormatTimeIso(role.expires), state);
  }
  const Result<> followed = FollowAsNode(arguments.Get("repo"), now);
  json["refused"] = followed ? Json() : Json(followed.error().message);
  if (arguments.Has("json")) {
    Print(json);
  } else {
    Print(text);
  }
  TRY(CheckFresh(roles, arguments, now));
  TRY(repository.CheckTimestamp());
  if (!followed)
    return Fail(Code::kNotTrusted, "nodes refuse what is published: {}", followed.error().message);
  const std::string due = Due(roles, arguments, now);
  if (due.empty()) return {};
  return Fail(Code::kUnhealthy, "to be renewed: {}", due);
}

Result<> RunSign(const Arguments& arguments) {
  Signing signing = TRY(OpenFrom(arguments));
  Json done = Json::object();
  TRY(CheckSeen(signing, arguments, done));
  const SignResult result = TRY(signing.repository.Sign(signing.keys));
  if (result.missing.empty() && result.published.empty())
    return Fail(Code::kNothingToDo, "{}: nothing is staged", arguments.Get("repo"));
  return Finish(signing, arguments, result, std::move(done));
}

constexpr Option kStagedOptions[] = {kRepo, kJson};

Result<> RunStaged(const Arguments& arguments) {
  const TufRepository repository =
      TRY(TufRepository::Open(arguments.Get("repo"), SystemClock().Now()));
  const std::vector<StagedRole> staged = TRY(repository.Staged());
  const Staging staging = TRY(repository.Difference());
  if (arguments.Has("json")) {
    Json json = ToJson(staging);
    json["staged"] = ToJson(staged);
    Print(json);
  } else {
    Print(staged.empty() ? "nothing is staged\n" : TextOf(staging));
  }
  return CheckComplete(staged, arguments);
}

constexpr Option kAbandonOptions[] = {kRepo};

Result<> RunAbandon(const Arguments& arguments) {
  TufRepository repository = TRY(TufRepository::Open(arguments.Get("repo"), SystemClock().Now()));
  const std::vector<StagedRole> staged = TRY(repository.Staged());
  TRY(repository.Abandon());
  for (const StagedRole& role : staged)
    Print(std::format("abandoned: {} version {}\n", role.role, role.version));
  if (staged.empty()) return Fail(Code::kNothingToDo, "nothing is staged");
  return {};
}

constexpr Option kReleasesOptions[] = {kRepo, kChannel, kArchitecture, kProduct, kJson};

// What nodes see of a release, and what they will.
const char* StateOf(const ReleaseTarget& release, const std::vector<ReleaseTarget>& published,
                    const std::vector<ReleaseTarget>& staged) {
  const auto in = [&](const std::vector<ReleaseTarget>& releases) {
    return std::ranges::contains(releases, release.index, &ReleaseTarget::index);
  };
  if (!in(published)) return "staged";
  return in(staged) ? "published" : "published, withdrawal staged";
}

Result<> RunReleases(const Arguments& arguments) {
  const Signing signing = TRY(OpenFrom(arguments));
  const auto releases = [&](TufRepository::View view) {
    return signing.repository.Releases(ProductFrom(arguments), ArchitectureFrom(arguments),
                                       arguments.Get("channel"), view);
  };
  const std::vector<ReleaseTarget> published = TRY(releases(TufRepository::View::kPublished)),
                                   staged = TRY(releases(TufRepository::View::kStaged));
  std::vector<ReleaseTarget> all = published;
  for (const ReleaseTarget& release : staged)
    if (!std::ranges::contains(all, release.index, &ReleaseTarget::index)) all.push_back(release);
  if (all.empty())
    return Fail(Code::kNotFound, "{}: expected releases in channel {}, found none",
                arguments.Get("repo"), arguments.Get("channel"));
  Json json = Json::array();
  for (const ReleaseTarget& release : all) {
    const char* state = StateOf(release, published, staged);
    json.push_back(ToJson(release));
    json.back()["state"] = state;
    if (!arguments.Has("json"))
      Print(std::format("{:>6}  {:<20} {}  {}\n", release.index, release.version,
                        release.commit.Hex(), state));
  }
  if (arguments.Has("json")) Print(json);
  return {};
}

// bundle ------------------------------------------------------------------------------------------

constexpr Option kBundleOptions[] = {
    kRepo,
    kChannel,
    {"output", "FILE", Times::kOnce, "the bundle; an existing one is replaced"},
    {"from", "VERSION", Times::kAtMostOnce, "only for nodes that run this release"},
    kArchitecture,
    kProduct,
    kJson,
};

Result<> RunBundle(const Arguments& arguments) {
  const BundleOptions options = {.repo = arguments.Get("repo"),
                                 .product = ProductFrom(arguments),
                                 .architecture = ArchitectureFrom(arguments),
                                 .channel = arguments.Get("channel"),
                                 .version = arguments.operand(),
                                 .from = arguments.GetOr("from", ""),
                                 .output = arguments.Get("output")};
  const BundleContent bundle = TRY(BundleRelease(options, SystemClock().Now()));
  if (arguments.Has("json"))
    Print(Json{{"output", options.output}, {"objects", bundle.objects}, {"bytes", bundle.bytes}});
  else
    Print(std::format(
        "{}: {} objects, {:.1f} MB\nnext, on a node: hostctl update --from FILE --version {}\n",
        options.output, bundle.objects, static_cast<double>(bundle.bytes) / 1e6, options.version));
  return {};
}

constexpr Subcommand kTrustVerbs[] = {
    {"root", "", "Says who may sign for nodes, and how many of them: the first or the next root.",
     kRootOptions, RunRoot},
    {"publish", "VERSION", "Makes a committed release the newest of its channel.", kPublishOptions,
     RunPublish},
    {"promote", "VERSION", "Makes a release of one channel the newest of another.", kPromoteOptions,
     RunPromote},
    {"withdraw", "VERSION", "Takes a release out of its channel.", kWithdrawOptions, RunWithdraw},
    {"renew", "ROLE",
     "Says the same for longer: root, targets, snapshot or timestamp, and what else is due.",
     kRenewOptions, RunRenew},
    {"check", "", "Says what nodes see of each role, and ends with 10 when one is to be renewed.",
     kCheckOptions, RunCheck},
    {"sign", "", "Shows what is staged, adds signatures, and publishes what is complete.",
     kSignOptions, RunSign},
    {"staged", "", "Shows what is staged, beside what is published, and whose signatures it lacks.",
     kStagedOptions, RunStaged},
    {"abandon", "", "Forgets what is staged.", kAbandonOptions, RunAbandon},
    {"releases", "", "Lists the releases of a channel.", kReleasesOptions, RunReleases},
    {"bundle", "VERSION", "Puts a published release into one file, for nodes without network.",
     kBundleOptions, RunBundle},
};

}  // namespace

std::span<const Subcommand> TrustVerbs() {
  return kTrustVerbs;
}

}  // namespace hostos
