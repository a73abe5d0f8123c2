#include "images/build_image.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "images/arguments.h"
#include "images/deviations.h"
#include "images/image_overlay.h"
#include "images/program.h"
#include "images/released_base.h"
#include "images/tuf_repository.h"
#include "images/verb_options.h"
#include "images/work_directory.h"
#include "updater/base/atomic_file.h"
#include "updater/base/clock.h"
#include "updater/base/file_lock.h"
#include "updater/base/text.h"
#include "updater/base/unique_fd.h"
#include "updater/source/repo.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// What is said of each step, on standard error.
void Say(std::string_view step, std::string_view text) {
  (void)std::fputs(Printable(std::format("{:<8} {}\n", step, text)).c_str(), stderr);
}

// Says when it begins and how long it took.
template <class Work>
auto Step(std::string_view step, std::string_view text, Work work) {
  Say(step, text);
  const auto start = std::chrono::steady_clock::now();
  auto result = work();
  const auto took = std::chrono::steady_clock::now() - start;
  if (result)
    Say(step, std::format("done in {} s", std::chrono::round<std::chrono::seconds>(took).count()));
  return result;
}

// A text in the record of a build; "" for whatever else is there.
std::string TextIn(const Json& json, const std::string& key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

// Held to the end: nobody else makes the same thing meanwhile.
Result<UniqueFd> Lock(const std::string& path) {
  UniqueFd file = TRY(Open(path, O_RDWR | O_CREAT, 0644));
  if (!TRY(LockWithin(file.get(), Milliseconds(0))))
    return Fail(Code::kBusy, "{}: another build works there: wait until it has ended", path);
  return file;
}

class Build {
 public:
  Build(const ImageFile& image, const BuildOptions& options)
      : image_(image), options_(options), root_(image.output + "/" + image.version) {}

  Result<BuiltImage> Run();

 private:
  // Where a list of packages is written for rootfs/build; "" for its own.
  Result<std::string> PackageList(const WorkDirectory& work) const;
  std::vector<std::string> BaseOptions(const std::string& list) const;
  Result<> MakeBase(const WorkDirectory& work);
  Result<> OpenReleased(const WorkDirectory& work);
  Result<std::string> Installed(const WorkDirectory& work) const;
  Result<> WriteOsRelease(const std::string& path) const;
  Json Settings() const;
  Result<> Describe(const std::string& installed, const std::string& files);

  Result<> ReadRecord();
  Result<> WriteRecord() const;

  Result<> MakeRoot(const WorkDirectory& work, const std::string& installed,
                    const std::string& files);
  Result<> CommitRoot();
  Result<> Publish();
  Result<> MakeDisks();

  Result<> Rootfs(std::vector<std::string> words, std::string_view log) const;
  std::vector<std::string> WithKeys(std::vector<std::string> words,
                                    const std::vector<std::string>& keys) const;

  const ImageFile& image_;
  const BuildOptions& options_;
  const std::string root_;  // what rootfs/build makes
  std::string rootfs_, base_;
  Json made_of_, record_;
  BuiltImage built_;
};

Result<> Build::Rootfs(std::vector<std::string> words, std::string_view log) const {
  words.insert(words.begin(), rootfs_);
  std::vector<std::string> environment;
  if (!image_.mirror.empty()) environment.push_back("HOSTOS_MIRROR=" + image_.mirror);
  const std::string path = std::format("{}/{}.log", image_.output, log);
  TRY(RunProgram(words, environment, path));
  // What a publisher should know, such as units that packages enable and the image does not.
  const std::string text = TRY(ReadFile(path, 64 << 20));
  for (const auto line : text | std::views::split('\n'))
    if (std::string_view(line).starts_with("rootfs: ")) Say("", std::string_view(line));
  return {};
}

Result<std::string> Build::PackageList(const WorkDirectory& work) const {
  if (image_.added.empty() && image_.removed.empty()) return image_.package_list;
  std::vector<std::string> names;
  if (!options_.released) {
    const std::string from = image_.package_list.empty()
                                 ? fs::path(rootfs_).replace_filename("packages").string()
                                 : image_.package_list;
    const std::string text = TRY(ReadFile(from));
    for (const auto range : text | std::views::split('\n')) {
      const std::string_view line(range);
      const std::string_view name = line.substr(0, line.find('#'));
      const size_t first = name.find_first_not_of(" \t"), last = name.find_last_not_of(" \t");
      if (first != name.npos) names.emplace_back(name.substr(first, last + 1 - first));
    }
    for (const auto& [name, place] : image_.removed)
      if (std::erase(names, name) == 0)
        return Fail(Code::kUsage, "{}: [packages] remove: expected a package of {}, found {}",
                    place, from, name);
  }
  for (const auto& [name, place] : image_.added)
    if (!std::ranges::contains(names, name)) names.push_back(name);
  const std::string path = work / "packages";
  TRY(WriteFileAtomically(path, Joined(names, "\n") + "\n"));
  return path;
}

std::vector<std::string> Build::BaseOptions(const std::string& list) const {
  std::vector<std::string> words = {"--suite-updates", image_.suite_updates ? "yes" : "no",
                                    "--profile", image_.test_profile ? "test" : "default"};
  if (!list.empty()) words.insert(words.end(), {"--packages", list});
  return words;
}

Result<> Build::MakeBase(const WorkDirectory& work) {
  if (options_.released) return OpenReleased(work);
  const std::string list = TRY(PackageList(work));
  std::vector<std::string> words = BaseOptions(list);
  std::vector<std::string> ask = {rootfs_, "base-key"};
  ask.insert(ask.end(), words.begin(), words.end());
  std::string key = TRY(RunProgram(ask));
  while (key.ends_with('\n')) key.pop_back();
  const std::string bases = image_.cache + "/bases";
  TRY(MakeDirectories(bases));
  const UniqueFd lock = TRY(Lock(std::format("{}/{}.lock", bases, key)));
  base_ = bases + "/" + key;
  made_of_["base"] = key;
  std::error_code error;
  if (fs::exists(base_ + "/epoch", error) && !options_.new_base) {
    Say("base", base_ + ", as kept; --new-base makes it of today's packages");
    return {};
  }
  words.insert(words.begin(), "base");
  words.insert(words.end(), {"--output", base_});
  return Step("base", "packages and initrds: this takes minutes",
              [&] { return Rootfs(words, "base"); });
}

// A base of somebody's release, and the packages that are added to it.
Result<> Build::OpenReleased(const WorkDirectory& work) {
  const Release& facts = options_.released->commit.release;
  const std::string list = TRY(PackageList(work));
  const std::string packages = list.empty() ? "" : TRY(ReadFile(list));
  const std::string scripts = TRY(DigestOfTree(fs::path(rootfs_).parent_path())).Hex();
  made_of_["base"] = {facts.commit.Hex(), packages};
  const std::string bases = image_.cache + "/bases";
  TRY(MakeDirectories(bases));
  base_ =
      std::format("{}/{}", bases,
                  Sha256::Of(AsBytes(facts.commit.Hex() + scripts + packages)).Hex().substr(0, 16));
  const UniqueFd lock = TRY(Lock(base_ + ".lock"));
  std::error_code error;
  if (fs::exists(base_, error) && (!options_.new_base || list.empty())) {
    Say("base", std::format("release {}, as kept in {}", facts.version, base_));
    return {};
  }
  const WorkDirectory opened = TRY(WorkDirectory::Beside(base_));
  PhaseLines progress;
  TRY(Step("base", std::format("release {}, commit {}", facts.version, facts.commit.Hex()),
           [&] { return FillReleasedBase(*options_.released, opened.path(), progress); }));
  std::vector<std::string> words = {"reopen", "--base", opened.path()};
  if (!list.empty()) words.insert(words.end(), {"--add", list});
  TRY(Step("packages", Joined(std::views::transform(image_.added, &Placed::value)),
           [&] { return Rootfs(words, "base"); }));
  fs::remove_all(base_, error);
  if (::chmod(opened.path().c_str(), 0755) < 0 ||
      ::rename(opened.path().c_str(), base_.c_str()) < 0)
    return FailErrno(base_);
  return SyncDirectory(bases);
}

// hostctl and what belongs to it, as `cmake --install` writes it; that of a release is in it.
Result<std::string> Build::Installed(const WorkDirectory& work) const {
  if (options_.released) return "";
  if (!image_.installed.empty()) return image_.installed;
  const fs::path build = fs::path(TRY(OwnDirectory())).parent_path();
  std::error_code error;
  if (!fs::exists(build / "CMakeCache.txt", error))
    return Fail(Code::kUsage,
                "{}: expected [build] install, a tree with hostctl as `DESTDIR=... cmake "
                "--install` writes it: this hostimage is in no build tree",
                image_.file);
  std::string to = work / "installed";
  TRY(RunProgram({"cmake", "--install", build, "--strip"}, {"DESTDIR=" + to}));
  return to;
}

Result<> Build::WriteOsRelease(const std::string& path) const {
  std::string text;
  for (const auto& [key, value] : image_.os_release)
    text += key == "SUPPORT_END" ? std::format("{}={}\n", key, value)
                                 : std::format("{}=\"{}\"\n", key, value);
  return WriteFileAtomically(path, text);
}

// What of image.toml is in the release, beside packages and files.
Json Build::Settings() const {
  return {{"version", image_.version},
          {"channel", image_.channel},
          {"after", image_.after},
          {"preview", image_.preview},
          {"compressed", image_.compressed_initrd},
          {"os_release", image_.os_release},
          {"kernel", image_.kernel_arguments}};
}

Result<> Build::Describe(const std::string& installed, const std::string& files) {
  made_of_["settings"] = Settings();
  const std::string status = TRY(ReadFile(base_ + "/tree/var/lib/dpkg/status", 64 << 20));
  made_of_["packages"] = Sha256::Of(AsBytes(status)).Hex();
  made_of_["scripts"] = TRY(DigestOfTree(fs::path(rootfs_).parent_path())).Hex();
  if (!installed.empty()) made_of_["hostctl"] = TRY(DigestOfTree(installed)).Hex();
  made_of_["files"] = TRY(DigestOfTree(files)).Hex();
  return {};
}

Result<> Build::ReadRecord() {
  const Result<std::string> text = ReadFile(root_ + ".json");
  if (!text && text.error().code != Code::kNotFound) return std::unexpected(text.error());
  record_ = text ? Json::parse(*text, nullptr, /*allow_exceptions=*/false) : Json();
  if (!record_.is_object()) record_ = Json::object();
  return {};
}

Result<> Build::WriteRecord() const {
  return WriteFileAtomically(root_ + ".json", record_.dump(2) + "\n");
}

std::vector<std::string> Build::WithKeys(std::vector<std::string> words,
                                         const std::vector<std::string>& keys) const {
  for (const std::string& key : keys) words.insert(words.end(), {"--key", key});
  if (!options_.passphrase_file.empty())
    words.insert(words.end(), {"--passphrase-file", options_.passphrase_file});
  return words;
}

Result<> Build::MakeRoot(const WorkDirectory& work, const std::string& installed,
                         const std::string& files) {
  std::error_code error;
  if (record_.value("made_of", Json()) == made_of_ && fs::exists(root_ + "/initrd", error)) {
    Say("root", root_ + ", as it was made before");
    return {};
  }
  const std::string root = work / "root", tree = root + "/tree";  // not whole before the end
  std::vector<std::string> words = {"release", "--base", base_, "--files", files};
  words.insert(words.end(), {"--version", image_.version, "--output", root});
  words.insert(words.end(), {"--preview", image_.preview ? "yes" : "no"});
  words.insert(words.end(), {"--initrd", image_.compressed_initrd ? "compressed" : "plain"});
  if (!installed.empty()) words.insert(words.end(), {"--install", installed});
  if (!image_.os_release.empty()) {
    TRY(WriteOsRelease(work / "os-release"));
    words.insert(words.end(), {"--os-release", work / "os-release"});
  }
  TRY(Step("root", root_, [&] { return Rootfs(words, "release"); }));
  TRY(CheckUnits(image_, tree));
  TRY(Step("rescue", image_.version, [&] {
    return options_.run("rescue", {"--tree", tree, "--initrd", root + "/rescue-initrd"});
  }));
  std::vector<std::string> sbom = {"--tree", tree, "--initrd", root + "/initrd"};
  if (const std::string logs = root + "/changelogs"; fs::exists(logs, error))
    sbom.insert(sbom.end(), {"--changelogs", logs});
  TRY(Step("sbom", image_.version, [&] { return options_.run("sbom", sbom); }));
  if (options_.released)
    TRY(Step("compare", options_.released->commit.release.version,
             [&] { return WriteDeviations(*options_.released, tree, image_.kernel_arguments); }));
  TRY(RemoveFileDurably(root_ + ".json"));  // it is about what is replaced now
  fs::remove_all(root_, error);
  if (::rename(root.c_str(), root_.c_str()) < 0) return FailErrno(root_);
  TRY(SyncDirectory(image_.output));
  record_ = {{"made_of", made_of_}};
  return WriteRecord();
}

Result<> Build::CommitRoot() {
  std::error_code error;
  std::vector<std::string> words = {"--tree",    root_ + "/tree", "--initrd",  root_ + "/initrd",
                                    "--repo",    image_.repo,     "--version", image_.version,
                                    "--channel", image_.channel};
  if (const std::string inputs = root_ + "/inputs.json"; fs::exists(inputs, error))
    words.insert(words.end(), {"--inputs", inputs});
  if (!image_.after.empty()) words.insert(words.end(), {"--after", image_.after});
  std::vector<std::string> arguments = image_.kernel_arguments;
  if (options_.released) {
    const std::string theirs = TRY(ReadFile(base_ + "/arguments"));
    if (!theirs.empty()) arguments.insert(arguments.begin(), theirs);
  }
  if (!arguments.empty()) words.insert(words.end(), {"--cmdline-append", Joined(arguments, " ")});
  TRY(Step("commit", image_.version,
           [&] { return options_.run("commit", WithKeys(words, image_.commit_keys)); }));
  const Repo repo = TRY(Repo::Open(image_.repo));
  built_.commit = TRY(repo.ResolveRef(ReleaseRef("x86-64", image_.version))).Hex();
  record_["commit"] = built_.commit;
  return WriteRecord();
}

// What the repository has under this version is not replaced, and counts as made only if it is the
// same.
Result<bool> IsCommitted(const ImageFile& image, const Json& made_of, const Json& record) {
  const Repo repo = TRY(Repo::CreateArchive(image.repo));
  const Result<Digest> commit = repo.ResolveRef(ReleaseRef("x86-64", image.version));
  if (!commit && commit.error().code == Code::kNotFound) return false;
  if (!commit) return std::unexpected(commit.error());
  const Json before = record.value("made_of", Json());
  if (TextIn(record, "commit") == commit->Hex() && before == made_of) return true;
  std::vector<std::string> parts;
  for (const auto& [part, value] : made_of.items())
    if (!before.contains(part) || before[part] != value) parts.push_back(part);
  return Fail(Code::kRefused,
              "{}: release {} is there already, as commit {}, made of other {}: give this one "
              "another version, such as --set release.version=V",
              image.repo, image.version, commit->Hex(),
              record.contains("commit") ? Joined(parts) : "things, or elsewhere");
}

Result<> Build::Publish() {
  const auto has = [&](TufRepository::View view) -> Result<bool> {
    const TufRepository repository = TRY(TufRepository::Open(image_.repo, SystemClock().Now()));
    const auto releases = TRY(repository.Releases(image_.product, "x86-64", image_.channel, view));
    return std::ranges::any_of(releases, [&](const ReleaseTarget& release) {
      return release.version == image_.version && release.commit.Hex() == built_.commit;
    });
  };
  if (TRY(has(TufRepository::View::kPublished))) {
    Say("publish", std::format("{} is published, with this content", image_.version));
    return {};
  }
  if (TRY(has(TufRepository::View::kStaged)))
    return Fail(Code::kStaged,
                "release {} is staged, and lacks signatures; next: hostimage staged --repo {}",
                image_.version, image_.repo);
  std::vector<std::string> verify = {ReleaseRef("x86-64", image_.version),
                                     "--repo",
                                     image_.repo,
                                     "--required",
                                     std::to_string(image_.signatures.required),
                                     "--signatures",
                                     kPolicyNames[static_cast<size_t>(image_.signatures.policy)]};
  for (const std::string& keys : image_.keys) verify.insert(verify.end(), {"--keys", keys});
  TRY(Step("verify", image_.version, [&] { return options_.run("verify", verify); }));
  return Step("publish", image_.channel, [&] {
    return options_.run(
        "publish", WithKeys({image_.version, "--repo", image_.repo, "--product", image_.product},
                            image_.role_keys));
  });
}

Result<> Build::MakeDisks() {
  for (const std::string& format : image_.formats) {
    DiskOptions disk = image_.disk;
    disk.format = *FormatNamed(format);
    disk.credentials = image_.credentials;
    disk.output = std::format("{}/hostos-{}.{}", image_.output, image_.version, format);
    std::string made_of = std::format("{} {}\n", built_.commit, disk.sector_size);
    if (!disk.definitions.empty()) made_of += TRY(DigestOfTree(disk.definitions)).Hex();
    for (const auto& size : {disk.esp_size, disk.slot_size, disk.verity_size, disk.state_size})
      made_of += std::format("{}\n", size.value_or(0));
    for (const auto& [name, content] : disk.credentials)
      made_of += std::format("{} {}\n", name, content);
    made_of = Sha256::Of(AsBytes(made_of)).Hex();
    built_.disks.push_back(disk.output);
    std::error_code error;
    if (TextIn(record_.value("disks", Json()), format) == made_of &&
        fs::exists(disk.output, error)) {
      Say("disk", disk.output + ", as it was made before");
      continue;
    }
    PhaseLines progress;
    const ReleaseQuery query = {.repo = image_.repo,
                                .name = ReleaseRef("x86-64", image_.version),
                                .keys = image_.keys,
                                .signatures = image_.signatures};
    TRY(Step("disk", disk.output, [&] { return MakeDisk(query, disk, progress); }));
    record_["disks"][format] = made_of;
    TRY(WriteRecord());
  }
  return {};
}

Result<BuiltImage> Build::Run() {
  built_.root = root_ + "/tree";
  TRY(MakeDirectories(image_.output));
  const UniqueFd lock = TRY(Lock(image_.output + "/lock"));
  // Before the minutes of work.
  TRY(TufRepository::Open(image_.repo, SystemClock().Now()));
  TRY(LoadGivenKeys(image_.keys));
  rootfs_ = TRY(OwnData("rootfs/build"));
  const WorkDirectory work = TRY(WorkDirectory::Beside(root_));
  const std::string files = work / "files";
  TRY(MakeDirectories(files));
  TRY(StageFiles(image_, files));
  TRY(MakeBase(work));
  const std::string installed = TRY(Installed(work));
  TRY(Describe(installed, files));
  TRY(ReadRecord());
  if (TRY(IsCommitted(image_, made_of_, record_))) {
    built_.commit = record_["commit"];
    Say("release", std::format("{} is in {}, made of the same", image_.version, image_.repo));
  } else {
    TRY(MakeRoot(work, installed, files));
    TRY(CommitRoot());
  }
  const Result<> published = Publish();
  if (!published && published.error().code != Code::kStaged)
    return std::unexpected(published.error());
  TRY(MakeDisks());
  TRY(published);
  return std::move(built_);
}

}  // namespace

Result<BuiltImage> BuildImage(const ImageFile& image, const BuildOptions& options) {
  return Build(image, options).Run();
}

}  // namespace hostos
