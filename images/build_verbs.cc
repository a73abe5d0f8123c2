// The verbs around image.toml: what takes many commands otherwise.
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "images/build_image.h"
#include "images/image_file.h"
#include "images/program.h"
#include "images/publish/secret_key.h"
#include "images/secrets.h"
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

constexpr Option kBuildOptions[] = {
    {"set", "KEY=VALUE", Times::kAnyNumber, "read over the file, such as release.version=1.0.1"},
    {"output", "DIR", Times::kAtMostOnce,
     "where roots and disks go (default: [build] output, else out/ beside the file)"},
    {"new-base", "", Times::kAtMostOnce, "take today's packages, not those that were kept"},
    kPassphraseFile,
};

Result<> RunBuild(const Arguments& arguments) {
  ImageFile image = TRY(LoadImageFile(arguments.operand(), arguments.All("set")));
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
                             .run = RunVerb}));
  Print(std::format("release     {} of channel {}, commit {}\nrepository  {}\n", image.version,
                    image.channel, built.commit, image.repo));
  for (const std::string& disk : built.disks) Print(std::format("disk        {}\n", disk));
  return {};
}

constexpr Subcommand kBuildVerbs[] = {
    {"new", "DIR", "Begins an image of one's own: image.toml, keys, and a repository.", kNewOptions,
     RunNew},
    {"build", "IMAGE.TOML", "Makes a release of image.toml, publishes it, and makes its disks.",
     kBuildOptions, RunBuild},
};

}  // namespace

std::span<const Subcommand> BuildVerbs() {
  return kBuildVerbs;
}

}  // namespace hostos
