#include "images/reproduce.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "images/commit_release.h"
#include "images/make_sbom.h"
#include "images/program.h"
#include "images/provenance.h"
#include "images/publish/pack_bases.h"
#include "images/publish/secret_key.h"
#include "images/rescue.h"
#include "images/reseal.h"
#include "updater/base/atomic_file.h"
#include "updater/base/clock.h"
#include "updater/base/sbom_path.h"
#include "updater/base/text.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;
using tuf::Object;

// A folder, file or link that the publisher laid over the rest.
struct Laid {
  std::string path, mode;  // in the root; octal
  uint32_t uid = 0, gid = 0;
  std::string link, sha256;  // of a link, of a file
};

// What is to be made again, from the statement of a release.
struct Recipe {
  std::map<std::string, std::string> text;  // parameters by name
  std::vector<std::string> packages, excluded, os_release;
  uint64_t file_time = 0, timestamp = 0;
  std::string source;                        // commit
  std::map<std::string, std::string> debs;   // package URL to SHA-256
  std::map<std::string, std::string> files;  // path in the root to SHA-256
  std::vector<Laid> laid;
};

Result<std::string> PathIn(const Object& object, const char* key) {
  std::string text = TRY(object.Text(key));
  const fs::path path = fs::path(text).lexically_normal();
  if (!text.empty() && !path.is_absolute() && *path.begin() != "..") return text;
  return Fail(Code::kNotTrusted, "{}.{}: expected a path in the root, found '{}'", object.where(),
              key, text);
}

Result<Laid> LaidFrom(const Object& object) {
  Laid laid;
  laid.path = TRY(PathIn(object, "path"));
  laid.mode = TRY(object.Text("mode"));
  laid.uid = static_cast<uint32_t>(TRY(object.Integer("uid", 0)));
  laid.gid = static_cast<uint32_t>(TRY(object.Integer("gid", 0)));
  if (object.Has("link")) laid.link = TRY(object.Text("link"));
  if (object.Has("sha256")) laid.sha256 = TRY(object.Text("sha256"));
  return laid;
}

Result<Recipe> RecipeOf(const tuf::Json& statement) {
  const Object whole = TRY(Object::From(statement, "statement"));
  const Object predicate = TRY(whole.Child("predicate"));
  const Object build = TRY(predicate.Child("buildDefinition"));
  const Object parameters = TRY(build.Child("externalParameters"));
  Recipe recipe;
  for (const char* name : {"suite_updates", "profile", "base_key", "version", "preview", "initrd",
                           "channel", "architecture", "kernel_arguments", "after"})
    recipe.text[name] = TRY(parameters.Text(name));
  recipe.packages = TRY(parameters.Texts("packages"));
  recipe.excluded = TRY(parameters.Texts("excluded"));
  recipe.os_release = TRY(parameters.Texts("os_release"));
  recipe.file_time = static_cast<uint64_t>(TRY(parameters.Integer("file_time", 0)));
  recipe.timestamp = static_cast<uint64_t>(TRY(parameters.Integer("timestamp", 0)));
  for (const Object& file : TRY(parameters.Children("files")))
    recipe.laid.push_back(TRY(LaidFrom(file)));
  for (const Object& material : TRY(build.Children("resolvedDependencies"))) {
    const Object digest = TRY(material.Child("digest"));
    if (digest.Has("gitCommit"))
      recipe.source = TRY(digest.Text("gitCommit"));
    else if (material.Has("uri"))
      recipe.debs[TRY(material.Text("uri"))] = TRY(digest.Text("sha256"));
    else
      recipe.files[TRY(PathIn(material, "name"))] = TRY(digest.Text("sha256"));
  }
  return recipe;
}

Result<std::string> DigestOf(const std::string& path) {
  const UniqueFd file = TRY(Open(path, O_RDONLY));
  return TRY(HashFile(file.get(), fs::file_size(path))).Hex();
}

// The first of what differs between two maps, and how many more there are; "" when they are equal.
std::string Difference(const std::map<std::string, std::string>& expected,
                       const std::map<std::string, std::string>& found) {
  std::vector<std::string> differences;
  for (const auto& [name, value] : expected)
    if (const auto other = found.find(name); other == found.end())
      differences.push_back(std::format("expected {}, found none", name));
    else if (other->second != value)
      differences.push_back(
          std::format("{}: expected SHA-256 {}, found {}", name, value, other->second));
  for (const auto& [name, value] : found)
    if (!expected.contains(name)) differences.push_back(std::format("found {} too", name));
  if (differences.empty()) return "";
  const size_t more = differences.size() - 1;
  return differences[0] + (more > 0 ? std::format(", and {} more", more) : "");
}

class Maker {
 public:
  Maker(const ReproduceOptions& options, const SignedRelease& original, Recipe recipe,
        Progress& progress)
      : options_(options), original_(original), recipe_(std::move(recipe)), progress_(progress) {}

  Result<Reproduced> Make() {
    paths_ = TRY(WalkPaths(original_.repo, original_.commit));
    TRY(CheckSource());
    TRY(StageInstall());
    TRY(StageLaid());
    const std::string base = TRY(Base());
    TRY(MakeTree(base));
    return Compare(TRY(Commit()));
  }

 private:
  std::string At(std::string_view name) const { return options_.output + "/" + std::string(name); }
  const std::string& Text(const char* name) const { return recipe_.text.at(name); }

  std::vector<std::string> Rootfs(const char* verb) const {
    return {options_.source + "/rootfs/build", verb};
  }
  std::vector<std::string> OfBase(const char* verb) const {
    std::vector<std::string> words = Rootfs(verb);
    words.insert(words.end(),
                 {"--suite-updates", Text("suite_updates"), "--profile", Text("profile"),
                  "--packages", At("packages"), "--excluded", At("excluded")});
    return words;
  }

  Result<> CheckSource() {
    progress_.Begin("source", recipe_.source);
    const std::string found = TRY(
        RunProgram({"git", "-C", options_.source, "-c", "safe.directory=*", "rev-parse", "HEAD"}));
    if (Trim(found) != recipe_.source)
      return Fail(Code::kFailed, "{}: expected a checkout of {}, found {}: git checkout {}",
                  options_.source, recipe_.source, Trim(found), recipe_.source);
    TRY(MakeDirectories(options_.output));
    TRY(WriteFileAtomically(At("packages"), Joined(recipe_.packages, "\n") + "\n"));
    TRY(WriteFileAtomically(At("excluded"), Joined(recipe_.excluded, "\n") + "\n"));
    TRY(WriteFileAtomically(At("os-release"), Joined(recipe_.os_release, "\n") + "\n"));
    const std::string key = TRY(RunProgram(OfBase("base-key")));
    if (Trim(key) == Text("base_key")) return {};
    return Fail(
        Code::kFailed,
        "{}/rootfs: expected what makes the base {}, found {}: the base was made of another "
        "checkout than the root",
        options_.source, Text("base_key"), Trim(key));
  }

  // The programs are those of --install. Keys, and what else the publisher added, are in the
  // release.
  Result<> StageInstall() {
    progress_.Begin("install", options_.install);
    std::error_code error;
    fs::remove_all(At("install"), error);
    // Folders, of which some are empty.
    fs::copy(options_.install, At("install"),
             fs::copy_options::recursive | fs::copy_options::directories_only, error);
    if (error) return FailErrno(options_.install, error.value());
    std::map<std::string, std::string> found;
    for (const auto& [path, digest] : recipe_.files) {
      const std::string from = options_.install + "/" + path, to = At("install/" + path);
      TRY(MakeDirectories(fs::path(to).parent_path()));
      if (fs::exists(from))
        fs::copy_file(from, to, error);
      else
        TRY(CopyFromRelease(path, to));
      if (error) return FailErrno(to, error.value());
      found[path] = TRY(DigestOf(to));
    }
    const std::string difference = Difference(recipe_.files, found);
    if (difference.empty()) return {};
    return Fail(Code::kFailed,
                "{}: {}: it was built of other sources, by another compiler or with other flags",
                options_.install, difference);
  }

  Result<> CopyFromRelease(const std::string& path, const std::string& to) const {
    const auto content = paths_.find("/" + path);
    if (content == paths_.end())
      return Fail(Code::kNotFound, "{}: expected it in {} or in the release, found neither", path,
                  options_.install);
    const UniqueFd file = TRY(original_.repo.OpenContent(content->second));
    TRY(CopyContent(file.get(), to));
    return {};
  }

  // Each with its owner and mode.
  Result<> StageLaid() {
    std::error_code error;
    fs::remove_all(At("files"), error);
    TRY(MakeDirectories(At("files")));
    for (const Laid& laid : recipe_.laid) {
      const std::string to = At("files/" + laid.path);
      if (!laid.link.empty()) {
        fs::create_symlink(laid.link, to, error);
        if (error) return FailErrno(to, error.value());
      } else if (laid.sha256.empty()) {
        TRY(MakeDirectories(to));
      } else {
        TRY(CopyFromRelease(laid.path, to));
        if (const std::string found = TRY(DigestOf(to)); found != laid.sha256)
          return Fail(Code::kFailed, "/{}: expected SHA-256 {} as the provenance says, found {}",
                      laid.path, laid.sha256, found);
      }
      TRY(RunProgram({"chown", "--no-dereference", std::format("{}:{}", laid.uid, laid.gid), to}));
      if (laid.link.empty()) TRY(RunProgram({"chmod", laid.mode, to}));
    }
    return {};
  }

  Result<std::string> Base() {
    std::string base = options_.base;
    if (base.empty()) {
      base = At("base");
      progress_.Begin("base", "packages and initrds, minutes");
      std::vector<std::string> words = OfBase("base");
      words.insert(words.end(), {"--output", base});
      TRY(RunProgram(words));
    }
    const std::string file = base + "/inputs.json";
    const std::string text = TRY(ReadFile(file, kMaxProvenanceBytes));
    const std::string difference = Difference(recipe_.debs, TRY_CONTEXT(file, DebsIn(text)));
    if (difference.empty()) return base;
    return Fail(Code::kFailed,
                "{}: {}: the archive has moved on; HOSTOS_MIRROR takes one that still has these "
                "packages",
                file, difference);
  }

  Result<> MakeTree(const std::string& base) {
    progress_.Begin("root", Text("version"));
    std::vector<std::string> words = Rootfs("release");
    words.insert(words.end(), {"--base", base, "--install", At("install"), "--output", At("root"),
                               "--version", Text("version"), "--preview", Text("preview"),
                               "--initrd", Text("initrd"), "--files", At("files")});
    if (!recipe_.os_release.empty()) words.insert(words.end(), {"--os-release", At("os-release")});
    TRY(RunProgram(words, {std::format("SOURCE_DATE_EPOCH={}", recipe_.file_time)}));
    const std::string tree = At("root/tree"), architecture = Text("architecture");
    if (original_.commit.release.rescue)
      TRY(MakeRescue({.tree = tree,
                      .initrd = At("root/rescue-initrd"),
                      .output = {},
                      .architecture = architecture,
                      .stub = {}}));
    if (!paths_.contains(kCycloneDxPath)) return {};
    const uint64_t time = TRY(TimeOfSbom());
    TRY(MakeSbom({.tree = tree,
                  .initrd = At("root/initrd"),
                  .changelogs = paths_.contains(kChangesPath) ? At("root/changelogs") : "",
                  .timestamp = time}));
    return {};
  }

  Result<uint64_t> TimeOfSbom() const {
    TRY(CopyFromRelease(std::string(kCycloneDxPath).substr(1), At("cdx.json")));
    const std::string text = TRY(ReadFile(At("cdx.json"), kMaxSbomBytes));
    const tuf::Json json = TRY_CONTEXT(kCycloneDxPath, tuf::ParseJson(text, kMaxSbomBytes));
    const Object sbom = TRY(Object::From(json, kCycloneDxPath));
    const Object metadata = TRY(sbom.Child("metadata"));
    const std::string written = TRY(metadata.Text("timestamp"));
    if (const auto time = ParseTimeIso(written)) return *time;
    return Fail(Code::kFailed, "{}: metadata.timestamp: expected a time, found '{}'",
                kCycloneDxPath, written);
  }

  // Into a repository of its own, signed by a key that is thrown away: nobody can mistake it for
  // the release.
  Result<Release> Commit() {
    const std::string repo = At("repo"), secret = At("key.pem");
    std::error_code error;
    for (const std::string& old : {repo, secret}) fs::remove_all(old, error);
    TRY(Repo::CreateArchive(repo));
    if (const std::string& after = Text("after"); !after.empty())
      TRY(RunProgram({"ostree", "pull-local", "--repo=" + repo, options_.query.repo,
                      ReleaseRef(Text("architecture"), after)}));
    const std::vector<SecretKey> keys = TRY(SecretKey::GenerateHybrid());
    TRY(SecretKey::Save(keys, secret));
    return CommitRelease({.tree = At("root/tree"),
                          .initrd = At("root/initrd"),
                          .repo = repo,
                          .version = Text("version"),
                          .channel = Text("channel"),
                          .architecture = Text("architecture"),
                          .keys = {secret},
                          .timestamp = recipe_.timestamp,
                          .stub = {},
                          .cmdline_append = Text("kernel_arguments"),
                          .after = Text("after"),
                          .inputs = {},
                          .image_out = {},
                          .verity_out = {},
                          .uki_out = {}},
                         progress_);
  }

  Result<Reproduced> Compare(const Release& made) {
    const Release& original = original_.commit.release;
    Reproduced result{.differences = {}, .release = made};
    const auto compare = [&](const char* what, const std::optional<Digest>& expected,
                             const std::optional<Digest>& found) {
      if (expected != found)
        result.differences.push_back(std::format("{}: expected {}, found {}", what,
                                                 expected ? expected->Hex() : "none",
                                                 found ? found->Hex() : "none"));
    };
    compare("root hash", original.root_hash, made.root_hash);
    compare("boot image", original.uki_digest, made.uki_digest);
    const auto digest = [](const RescueImage& rescue) { return rescue.digest; };
    compare("rescue", original.rescue.transform(digest), made.rescue.transform(digest));
    if (result.differences.empty()) return result;
    const Repo repo = TRY(Repo::Open(At("repo")));
    const auto commit = TRY(repo.ReadCommit(made.commit));
    const auto paths = TRY(WalkPaths(repo, commit));
    for (const auto& [path, content] : paths_)
      if (const auto other = paths.find(path); other == paths.end())
        result.differences.push_back(path + ": is missing");
      else if (other->second != content && !path.ends_with('/'))
        result.differences.push_back(path + ": differs");
    for (const auto& [path, content] : paths)
      if (!paths_.contains(path)) result.differences.push_back(path + ": is new");
    return result;
  }

  const ReproduceOptions& options_;
  const SignedRelease& original_;
  const Recipe recipe_;
  Progress& progress_;
  std::map<std::string, Digest> paths_;  // of the original
};

}  // namespace

Result<Reproduced> Reproduce(const ReproduceOptions& options, Progress& progress) {
  const Provenance provenance = TRY(ReadProvenance(options.query, options.product));
  Recipe recipe = TRY(RecipeOf(provenance.statement));
  const SignedRelease original = TRY(OpenSignedRelease(options.query));
  return Maker(options, original, std::move(recipe), progress).Make();
}

}  // namespace hostos
