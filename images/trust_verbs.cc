// The verbs that decide what nodes find. Each stages a change of the TUF repository, signs it with
// the keys at hand, and publishes what is complete.
#include "images/bundle_release.h"
#include "images/publish_release.h"
#include "images/secrets.h"
#include "images/tuf_repository.h"
#include "images/verb_options.h"
#include "images/verbs.h"
#include "updater/base/clock.h"

namespace hostos {
namespace {

constexpr Option kSigningKeys = {
    "key", "KEY", Times::kAnyNumber,
    "secret keys (FILE, env:NAME or pkcs11:...), each for the roles that are its own"};
constexpr Option kChannel = {"channel", "NAME", Times::kOnce, "the channel"};
constexpr Option kMinimum = {"minimum-index", "N", Times::kAtMostOnce,
                             "nodes take nothing with a smaller index any more"};

// Keys that cannot be read are found out before anything is staged.
struct Signing {
  std::vector<SecretKey> keys;
  TufRepository repository;
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

// Every verb ends here.
Result<> Sign(Signing& signing, const Arguments& arguments, Json done = Json::object()) {
  const std::optional<Unsigned> left = TRY(signing.repository.Sign(signing.keys));
  done["published"] = !left;
  if (left)
    done["waiting"] = {{"role", left->role},
                       {"signatures", left->signatures},
                       {"threshold", left->threshold},
                       {"keys", left->whose}};
  if (arguments.Has("json")) {
    Print(done);
  } else if (left) {
    Print(std::format(
        "staged: {} has {} of {} signatures of {}\nnext: hostimage sign --repo {} --key FILE\n",
        left->role, left->signatures, left->threshold, left->whose, arguments.Get("repo")));
  } else {
    Print(std::string("published\n"));
  }
  return {};
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
  Signing signing = TRY(OpenFrom(arguments));
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
  TRY(signing.repository.StageWithdrawal(ProductFrom(arguments), ArchitectureFrom(arguments),
                                         arguments.Get("channel"), arguments.operand()));
  return Sign(signing, arguments);
}

// renew, sign, releases ---------------------------------------------------------------------------

constexpr Option kSignOptions[] = {kRepo, kSigningKeys, kPassphraseFile, kJson};

Result<> RunRenew(const Arguments& arguments) {
  Signing signing = TRY(OpenFrom(arguments));
  TRY(signing.repository.StageRenewal(arguments.operand()));
  return Sign(signing, arguments);
}

Result<> RunSign(const Arguments& arguments) {
  Signing signing = TRY(OpenFrom(arguments));
  return Sign(signing, arguments);
}

constexpr Option kReleasesOptions[] = {kRepo, kChannel, kArchitecture, kProduct, kJson};

Result<> RunReleases(const Arguments& arguments) {
  const Signing signing = TRY(OpenFrom(arguments));
  const std::vector<ReleaseTarget> releases = TRY(signing.repository.Releases(
      ProductFrom(arguments), ArchitectureFrom(arguments), arguments.Get("channel")));
  Json json = Json::array();
  for (const ReleaseTarget& release : releases) json.push_back(ToJson(release));
  if (arguments.Has("json")) {
    Print(json);
    return {};
  }
  for (const ReleaseTarget& release : releases)
    Print(std::format("{:>6}  {:<20} {}\n", release.index, release.version, release.commit.Hex()));
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
    {"renew", "ROLE", "Says the same for longer: root, targets, snapshot or timestamp.",
     kSignOptions, RunRenew},
    {"sign", "", "Adds signatures to what is staged, and publishes what is complete.", kSignOptions,
     RunSign},
    {"releases", "", "Lists the releases of a channel.", kReleasesOptions, RunReleases},
    {"bundle", "VERSION", "Puts a published release into one file, for nodes without network.",
     kBundleOptions, RunBundle},
};

}  // namespace

std::span<const Subcommand> TrustVerbs() {
  return kTrustVerbs;
}

}  // namespace hostos
