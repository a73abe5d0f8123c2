// The verbs around image.toml: what takes many commands otherwise.
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "images/build_image.h"
#include "images/deviations.h"
#include "images/image_file.h"
#include "images/program.h"
#include "images/publish/secret_key.h"
#include "images/secrets.h"
#include "images/signed_release.h"
#include "images/tuf_repository.h"
#include "images/verb_options.h"
#include "images/verbs.h"
#include "images/work_directory.h"
#include "updater/base/atomic_file.h"
#include "updater/base/clock.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// Another verb, with these words.
Result<> RunVerb(const std::string& name, const std::vector<std::string>& words) {
  const std::span<const Subcommand> verbs = Subcommands();
  const auto verb = std::ranges::find(verbs, name, &Subcommand::name);
  std::vector<const char*> pointers;
  for (const std::string& word : words) pointers.push_back(word.c_str());
  return verb->run(TRY(Arguments::Parse(*verb, pointers)));
}

// new ---------------------------------------------------------------------------------------------

constexpr Option kNewOptions[] = {
    {"encrypt", "", Times::kAtMostOnce,
     "insist on a passphrase for the keys: ask when none is given"},
    kPassphraseFile,
};

// A key pair in the folder: secret and public file.
Result<std::vector<SecretKey>> NewKey(const WorkDirectory& work, const std::string& secret,
                                      const std::string& publics, const std::string& passphrase) {
  std::vector<SecretKey> keys = TRY(SecretKey::GenerateHybrid());
  const std::string text = TRY(PublicText(keys));
  TRY(SecretKey::Save(keys, work / secret, passphrase));
  TRY(WriteFileAtomically(work / publics, text));
  return keys;
}

// The repository's first root: the release key signs releases, the online key that nothing newer is
// there.
Result<> FirstRoot(const WorkDirectory& work, std::span<const SecretKey> keys) {
  TufRepository repository = TRY(TufRepository::Create(work / "repo", SystemClock().Now()));
  std::map<std::string, RoleChange> changes;
  for (const auto& [file, roles] : {std::pair("keys/release.pub", std::array{"root", "targets"}),
                                    std::pair("online.pub", std::array{"snapshot", "timestamp"})})
    for (const char* role : roles) changes[role].keys = TRY(PublicKey::Load(work / file));
  TRY(repository.StageRoot(changes));
  TRY(repository.Sign(keys));
  return {};
}

Result<> RunNew(const Arguments& arguments) {
  std::string to = arguments.operand();
  while (to.size() > 1 && to.ends_with('/')) to.pop_back();
  std::error_code error;
  if (fs::exists(fs::symlink_status(to, error)))
    return Fail(Code::kRefused, "{}: expected nothing there, found something: name a new folder",
                to);
  const std::string path = TRY(OwnData("image.toml")), example = TRY(ReadFile(path));
  const std::string passphrase = TRY(NewPassphrase(arguments, arguments.Has("encrypt")));
  const WorkDirectory work = TRY(WorkDirectory::Beside(to));
  TRY(MakeDirectories(work / "keys"));
  TRY(WriteFileAtomically(work / "image.toml", example));
  std::vector<SecretKey> keys = TRY(NewKey(work, "release.pem", "keys/release.pub", passphrase));
  // Not encrypted: a timer uses it.
  std::ranges::move(TRY(NewKey(work, "online.pem", "online.pub", "")), std::back_inserter(keys));
  TRY(FirstRoot(work, keys));
  if (::chmod(work.path().c_str(), 0755) < 0) return FailErrno(work.path());
  if (::rename(work.path().c_str(), to.c_str()) < 0)
    return FailErrno(std::format("rename {} to {}", work.path(), to));
  TRY(SyncDirectory(fs::absolute(to).parent_path()));
  Print(
      std::format("{0}/image.toml   what the image is made of: edit it\n"
                  "{0}/release.pem  signs releases: keep it elsewhere between them ({1})\n"
                  "{0}/online.pem   signs every day that nothing newer is there\n"
                  "{0}/repo         the repository, which any web server serves\n"
                  "next: hostimage build {0}/image.toml\n",
                  to, passphrase.empty() ? "not encrypted" : "encrypted"));
  return {};
}

// build -------------------------------------------------------------------------------------------

constexpr Option kSet = {"set", "KEY=VALUE", Times::kAnyNumber,
                         "read over the file, such as release.version=1.0.1"};
constexpr Option kOutput = {"output", "DIR", Times::kAtMostOnce,
                            "where roots and disks go (default: [build] output, else out/ beside "
                            "the file)"};
constexpr Option kNewBase = {"new-base", "", Times::kAtMostOnce,
                             "take today's packages, not those that were kept"};
constexpr Option kBuildOptions[] = {kSet, kOutput, kNewBase, kPassphraseFile};

// As they are in the image; nothing where its root was removed after it was published.
void PrintDeviations(const std::string& file) {
  const Result<std::string> text = ReadFile(file, kMaxDeviations);
  const Json json = Json::parse(text ? *text : "", nullptr, /*allow_exceptions=*/false);
  for (const char* kind : {"packages", "kernel_arguments", "added", "changed", "removed"})
    if (json.contains(kind))
      for (const Json& each : json[kind])
        Print(std::format("{:<16} {}\n", kind, each.get<std::string>()));
}

Result<> MakeImage(const Arguments& arguments, ImageFile& image, const SignedRelease* released) {
  if (arguments.Has("output")) image.output = fs::absolute(arguments.Get("output"));
  // Before another program runs; and before the work, because of a key that cannot be read.
  std::vector<std::string> keys = image.commit_keys;
  keys.insert(keys.end(), image.role_keys.begin(), image.role_keys.end());
  std::vector<const char*> words;
  for (const std::string& key : keys) words.push_back(key.c_str());
  HideSecrets(words);
  TRY(LoadSecretKeys(keys, PassphraseFrom(arguments)));
  const BuiltImage built =
      TRY(BuildImage(image, {.new_base = arguments.Has("new-base"),
                             .passphrase_file = arguments.GetOr(kPassphraseFile.name, ""),
                             .released = released,
                             .run = RunVerb}));
  Print(std::format("release     {} of channel {}, commit {}\nrepository  {}\n", image.version,
                    image.channel, built.commit, image.repo));
  for (const std::string& disk : built.disks) Print(std::format("disk        {}\n", disk));
  if (released) PrintDeviations(built.root + std::string(kDeviationsPath));
  return {};
}

Result<> RunBuild(const Arguments& arguments) {
  ImageFile image = TRY(LoadImageFile(arguments.operand(), arguments.All("set")));
  return MakeImage(arguments, image, nullptr);
}

// customize ---------------------------------------------------------------------------------------

constexpr Option kCustomizeOptions[] = {
    {"from", "VERSION|REF|COMMIT", Times::kOnce, "the release to build upon"},
    {"repo", "DIR", Times::kOnce, "the archive repository that has it, such as a mirror"},
    kKeys,
    kRequired,
    kSignatures,
    kSet,
    kOutput,
    kNewBase,
    kPassphraseFile,
};

Result<> RunCustomize(const Arguments& arguments) {
  ImageFile image = TRY(LoadImageFile(arguments.operand(), arguments.All("set")));
  if (!image.package_list.empty() || !image.removed.empty() || !image.suite_updates ||
      image.test_profile || !image.installed.empty())
    return Fail(Code::kUsage,
                "{}: expected only what can be added to a release, found [packages] list, remove, "
                "suite_updates or profile, or [build] install: those are for `build`",
                image.file);
  const std::string& from = arguments.Get("from");
  const bool version = IsValidName(from) && !Digest::FromHex(from);
  const SignatureRule rule = TRY(RuleFrom(arguments));
  const SignedRelease released =
      TRY(OpenSignedRelease({.repo = arguments.Get("repo"),
                             .name = version ? ReleaseRef("x86-64", from) : from,
                             .keys = arguments.All("keys"),
                             .signatures = rule}));
  return MakeImage(arguments, image, &released);
}

constexpr Subcommand kBuildVerbs[] = {
    {"new", "DIR", "Begins an image of one's own: image.toml, keys, and a repository.", kNewOptions,
     RunNew},
    {"build", "IMAGE.TOML", "Makes a release of image.toml, publishes it, and makes its disks.",
     kBuildOptions, RunBuild},
    {"customize", "IMAGE.TOML",
     "The same upon a release of somebody else, with own files, packages and keys.",
     kCustomizeOptions, RunCustomize},
};

}  // namespace

std::span<const Subcommand> BuildVerbs() {
  return kBuildVerbs;
}

}  // namespace hostos
