// The verbs that decide what nodes find. Each stages a change of the TUF repository, signs it with
// the available keys, and publishes what is complete.
#include <cstdio>
#include <ranges>

#include "images/bundle_release.h"
#include "images/metadata_files.h"
#include "images/pack_release.h"
#include "images/publish/secret_key.h"
#include "images/publish_release.h"
#include "images/secrets.h"
#include "images/signing.h"
#include "images/tuf_repository.h"
#include "images/verb_options.h"
#include "images/verbs.h"
#include "images/work_directory.h"
#include "updater/base/clock.h"
#include "updater/base/text.h"
#include "updater/release/signature.h"
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

Result<PublishOptions> OptionsFrom(const Arguments& arguments) {
  const std::optional<uint64_t> minimum_index = TRY(arguments.Number("minimum-index"));
  return PublishOptions{.repo = arguments.Get("repo"),
                        .product = ProductFrom(arguments),
                        .architecture = ArchitectureFrom(arguments),
                        .version = arguments.operand(),
                        .minimum_index = minimum_index.value_or(0)};
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

// Parses "ROLE=N" into `changes`.
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
  auto repository = TRY(TufRepository::Create(arguments.Get("repo"), SystemClock().Now()));
  Signing signing{std::move(keys), std::move(repository)};
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

// Follows what is published, as a node does that has only the oldest root.
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

// How nodes see a release, and how they will.
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

// pack --------------------------------------------------------------------------------------------

constexpr size_t kPacksByDefault = 3;

constexpr Option kPackOptions[] = {
    kRepo,
    kChannel,
    {"from", "VERSION", Times::kAnyNumber,
     "a release that nodes have (default: the last three published in the channel)"},
    {"level", "N", Times::kAtMostOnce, "of zstd, 1 to 22 (default 19)"},
    kArchitecture,
    kProduct,
    kJson,
};

// The releases that are published, the newest first.
Result<std::vector<std::string>> LastReleases(const Arguments& arguments) {
  const TufRepository repository =
      TRY(TufRepository::Open(arguments.Get("repo"), SystemClock().Now()));
  std::vector<std::string> last;
  for (const ReleaseTarget& release :
       TRY(repository.Releases(ProductFrom(arguments), ArchitectureFrom(arguments),
                               arguments.Get("channel"))) |
           std::views::reverse)
    if (release.version != arguments.operand() && last.size() < kPacksByDefault)
      last.push_back(release.version);
  return last;
}

Result<> RunPack(const Arguments& arguments) {
  const uint64_t level = TRY(arguments.Number("level")).value_or(kPackLevel);
  if (level < 1 || level > 22)
    return Fail(Code::kUsage, "--level: expected 1 to 22, found {}", level);
  std::vector<std::string> from = arguments.All("from");
  if (from.empty()) from = TRY(LastReleases(arguments));
  if (from.empty())
    return Fail(Code::kNothingToDo, "channel {} has no release before {}", arguments.Get("channel"),
                arguments.operand());
  PhaseLines progress;
  const std::vector<MadePack> made = TRY(PackRelease({.repo = arguments.Get("repo"),
                                                      .architecture = ArchitectureFrom(arguments),
                                                      .version = arguments.operand(),
                                                      .from = from,
                                                      .level = static_cast<int>(level)},
                                                     progress));
  Json json = Json::array();
  for (const auto& [version, built] : made) {
    json.push_back({{"from", version}, {"objects", built.objects}, {"bytes", built.bytes}});
    if (!arguments.Has("json"))
      Print(std::format("from {:<20} {} objects, {}\n", version, built.objects,
                        Megabytes(built.bytes)));
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
    {"pack", "VERSION", "Makes delta packs for nodes that have a release before; then publish.",
     kPackOptions, RunPack},
    {"bundle", "VERSION", "Puts a published release into one file, for nodes without network.",
     kBundleOptions, RunBundle},
};

}  // namespace

std::span<const Subcommand> TrustVerbs() {
  return kTrustVerbs;
}

}  // namespace hostos
