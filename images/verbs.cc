#include "images/verbs.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <ranges>
#include <vector>

#include "images/commit_release.h"
#include "images/make_sbom.h"
#include "images/mirror.h"
#include "images/program.h"
#include "images/publish/secret_key.h"
#include "images/rescue.h"
#include "images/secrets.h"
#include "images/verb_options.h"
#include "updater/base/atomic_file.h"
#include "updater/base/clock.h"
#include "updater/base/text.h"
#include "updater/release/commit.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr Option kTree = {"tree", "DIR", Times::kOnce,
                          "the root file system, as rootfs/build makes it"};
constexpr Option kStub = {"stub", "FILE", Times::kAtMostOnce, "EFI stub (default: systemd's)"};

// keygen, public ----------------------------------------------------------------------------------

constexpr Option kKeygenOptions[] = {
    {"secret", "FILE", Times::kOnce, "where the secret keys go (PEM, mode 0600); never replaced"},
    {"public", "FILE", Times::kOnce, "where the public keys go, for a node's keys.d/*.pub"},
    {"algorithm", "NAME", Times::kAtMostOnce, "ed25519 or ML-DSA-65 (default: one of each)"},
    {"encrypt", "", Times::kAtMostOnce, "insist on a passphrase: ask when none is given"},
    kPassphraseFile,
};

// One key of each algorithm, which sign together, unless one was named.
Result<std::vector<SecretKey>> NewKeys(const Arguments& arguments) {
  if (!arguments.Has("algorithm")) return SecretKey::GenerateHybrid();
  const std::string& name = arguments.Get("algorithm");
  for (Algorithm algorithm : kAlgorithms)
    if (name == Name(algorithm)) return std::vector{TRY(SecretKey::Generate(algorithm))};
  return Fail(Code::kUsage, "--algorithm: expected ed25519 or ML-DSA-65, found \"{}\"", name);
}

Result<> RunKeygen(const Arguments& arguments) {
  const std::string passphrase = TRY(NewPassphrase(arguments, arguments.Has("encrypt")));
  const std::vector<SecretKey> secret = TRY(NewKeys(arguments));
  const std::string text = TRY(PublicText(secret));
  const std::string &secrets = arguments.Get("secret"), &publics = arguments.Get("public");
  TRY(SecretKey::Save(secret, secrets, passphrase));
  if (const Result<> written = WriteFileAtomically(publics, text); !written) {
    (void)::unlink(secrets.c_str());  // not in use yet, and would block the next attempt
    return written;
  }
  Print(std::format(
      "secret keys  {}, {}\npublic keys  {}\nSHA-256      {}  (of the public keys' file)\n",
      secrets, passphrase.empty() ? "not encrypted" : "encrypted", publics,
      Sha256::Of(AsBytes(text)).Hex()));
  return {};
}

constexpr Option kPublicOptions[] = {
    {"key", "KEY", Times::kAtLeastOnce, "secret keys (FILE, env:NAME or pkcs11:...)"},
    kPassphraseFile,
};

Result<> RunPublic(const Arguments& arguments) {
  const std::vector<SecretKey> keys = TRY(KeysFrom(arguments, "key"));
  Print(TRY(PublicText(keys)));
  return {};
}

// commit ------------------------------------------------------------------------------------------

constexpr Option kCommitOptions[] = {
    kTree,
    {"initrd", "FILE", Times::kOnce, "its initrd"},
    kRepo,
    {"version", "V", Times::kOnce, "the release's version; os-release must say the same"},
    {"channel", "NAME", Times::kOnce, "the channel whose newest release this becomes"},
    {"key", "KEY", Times::kAtLeastOnce,
     "secret keys to sign with, all of them (FILE, env:NAME or pkcs11:...)"},
    kPassphraseFile,
    kArchitecture,
    {"timestamp", "SECONDS", Times::kAtMostOnce,
     "time of the release (default: $SOURCE_DATE_EPOCH, else now)"},
    {"after", "VERSION", Times::kAtMostOnce,
     "lay the image out after that of the release before, so that nodes write only what differs "
     "(seal format 2)"},
    {"inputs", "FILE", Times::kAtMostOnce,
     "what it was made of, as rootfs/build writes it: its provenance, signed"},
    {"cmdline-append", "TEXT", Times::kAtMostOnce, "added to the kernel's command line"},
    kStub,
    {"image-out", "FILE", Times::kAtMostOnce, "keep a copy of the sealed image"},
    {"verity-out", "FILE", Times::kAtMostOnce, "keep a copy of its hash tree"},
    {"uki-out", "FILE", Times::kAtMostOnce, "keep a copy of the unified kernel image"},
    kJson,
};

Result<> RunCommit(const Arguments& arguments) {
  PhaseLines progress;
  const uint64_t now = SystemClock().Now(),
                 timestamp = TRY(Timestamp(arguments, now)).value_or(now);
  const CommitOptions options = {.tree = arguments.Get("tree"),
                                 .initrd = arguments.Get("initrd"),
                                 .repo = arguments.Get("repo"),
                                 .version = arguments.Get("version"),
                                 .channel = arguments.Get("channel"),
                                 .architecture = ArchitectureFrom(arguments),
                                 .keys = arguments.All("key"),
                                 .passphrase = PassphraseFrom(arguments),
                                 .timestamp = timestamp,
                                 .stub = arguments.GetOr("stub", ""),
                                 .cmdline_append = arguments.GetOr("cmdline-append", ""),
                                 .after = arguments.GetOr("after", ""),
                                 .inputs = arguments.GetOr("inputs", ""),
                                 .image_out = arguments.GetOr("image-out", ""),
                                 .verity_out = arguments.GetOr("verity-out", ""),
                                 .uki_out = arguments.GetOr("uki-out", "")};
  const Release release = TRY(CommitRelease(options, progress));
  if (arguments.Has("json")) {
    Print(ToJson(release));
    return {};
  }
  Print(
      std::format("commit     {}\nroot hash  {}\nimage      {}, hash tree {}, kernel image {}\n"
                  "refs       {}\n           {}\n",
                  release.commit.Hex(), release.root_hash.Hex(), Megabytes(release.image_size),
                  Megabytes(release.verity_size), Megabytes(release.uki_size),
                  ChannelRef(release.architecture, release.channel),
                  ReleaseRef(release.architecture, release.version)));
  return {};
}

// rescue ------------------------------------------------------------------------------------------

constexpr Option kRescueOptions[] = {
    kTree,
    {"initrd", "FILE", Times::kOnce, "the rescue's initrd, as rootfs/build makes it"},
    {"output", "FILE", Times::kAtMostOnce,
     "the unified kernel image (default: in the tree, where `commit` and `disk` find it)"},
    kArchitecture,
    kStub,
};

Result<> RunRescue(const Arguments& arguments) {
  return MakeRescue({.tree = arguments.Get("tree"),
                     .initrd = arguments.Get("initrd"),
                     .output = arguments.GetOr("output", ""),
                     .architecture = ArchitectureFrom(arguments),
                     .stub = arguments.GetOr("stub", "")});
}

// sbom --------------------------------------------------------------------------------------------

constexpr Option kSbomOptions[] = {
    kTree,
    {"initrd", "FILE", Times::kAtMostOnce, "its initrd, to say what is in that, too"},
    {"changelogs", "DIR", Times::kAtMostOnce,
     "Debian's changelogs as rootfs/build keeps them, to say which CVEs are fixed"},
    {"timestamp", "SECONDS", Times::kAtMostOnce,
     "time of the release (default: $SOURCE_DATE_EPOCH, else that of the tree's os-release)"},
};

Result<> RunSbom(const Arguments& arguments) {
  const auto timestamp = TRY(Timestamp(arguments, SystemClock().Now()));
  const MadeSbom made = TRY(MakeSbom({.tree = arguments.Get("tree"),
                                      .initrd = arguments.GetOr("initrd", ""),
                                      .changelogs = arguments.GetOr("changelogs", ""),
                                      .timestamp = timestamp}));
  Print(std::format("{} packages of {} sources, {} programs of no package", made.packages,
                    made.sources, made.programs));
  Print(arguments.Has("changelogs") ? std::format(", {} CVEs fixed\n", made.cves) : "\n");
  return {};
}

// mirror ------------------------------------------------------------------------------------------

constexpr Option kMirrorOptions[] = {
    {"from", "DIR_OR_URL", Times::kOnce, "the archive repository to copy from"},
    {"repo", "DIR", Times::kOnce, "the mirror; made when it is not there"},
    {"channel", "NAME", Times::kAnyNumber, "a channel to copy, beside those it has already"},
    {"root", "FILE", Times::kOnce, "the TUF root to trust, the oldest that nodes here begin with"},
    kKeys,
    kRequired,
    kSignatures,
    kArchitecture,
    kProduct,
    kJson,
};

Result<> RunMirror(const Arguments& arguments) {
  PhaseLines progress;
  const std::string& from = arguments.Get("from");
  const SignatureRule rule = TRY(RuleFrom(arguments));
  MirrorOptions options = {.from = from.contains("://") ? from : fs::absolute(from).string(),
                           .repo = arguments.Get("repo"),
                           .root = arguments.Get("root"),
                           .keys = arguments.All("keys"),
                           .signatures = rule,
                           .channels = {}};
  for (const std::string& channel : arguments.All("channel"))
    options.channels.insert(
        std::format("{}/{}/{}", ProductFrom(arguments), ArchitectureFrom(arguments), channel));
  const Mirrored done = TRY(Mirror(options, SystemClock().Now(), progress));
  Json json = {{"releases", Json::array()}, {"objects", done.objects}, {"bytes", done.bytes}};
  for (const ReleaseTarget& release : done.releases) json["releases"].push_back(ToJson(release));
  if (arguments.Has("json"))
    Print(json);
  else
    Print(std::format("{}: {} releases; copied {} objects, {}\n", options.repo,
                      done.releases.size(), done.objects, Megabytes(done.bytes)));
  return {};
}

constexpr Subcommand kVerbs[] = {
    {"keygen", "", "Makes a key pair to sign releases with.", kKeygenOptions, RunKeygen},
    {"public", "", "Prints the public halves of secret keys, as keygen writes them.",
     kPublicOptions, RunPublic},
    {"commit", "", "Makes a release of a root file system: seals, commits and signs it.",
     kCommitOptions, RunCommit},
    {"rescue", "", "Makes the kernel image that starts when no release can.", kRescueOptions,
     RunRescue},
    {"sbom", "", "Writes into a root file system what it consists of: CycloneDX and SPDX.",
     kSbomOptions, RunSbom},
    {"mirror", "", "Copies channels, verified as nodes verify them, for a site of its own.",
     kMirrorOptions, RunMirror},
};

}  // namespace

Result<std::optional<uint64_t>> Timestamp(const Arguments& arguments, uint64_t now) {
  const char* epoch = ::getenv("SOURCE_DATE_EPOCH");
  const auto given = TRY(arguments.Number("timestamp"));
  if (!given && !epoch) return std::nullopt;
  const char* where = given ? "--timestamp" : "$SOURCE_DATE_EPOCH";
  const uint64_t timestamp = given ? *given : TRY_CONTEXT(where, ParseNumber(epoch));
  TRY_CONTEXT(where, CheckReleaseTime(timestamp, now));
  return timestamp;
}

std::span<const Subcommand> Subcommands() {
  static const std::vector<Subcommand> verbs = [] {
    std::vector<Subcommand> all(BuildVerbs().begin(), BuildVerbs().end());
    std::ranges::copy(kVerbs, std::back_inserter(all));
    std::ranges::copy(ImageVerbs(), std::back_inserter(all));
    std::ranges::copy(TrustVerbs(), std::back_inserter(all));
    std::ranges::copy(DescribeVerbs(), std::back_inserter(all));
    return all;
  }();
  return verbs;
}

}  // namespace hostos
