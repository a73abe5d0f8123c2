#include "images/image_file.h"

#include <algorithm>
#include <filesystem>
#include <ranges>

#include "images/arguments.h"
#include "images/image_values.h"
#include "updater/base/unique_fd.h"
#include "updater/toml/reader.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostDepth = 8, kMostFiles = 64, kMaxText = 64 << 10;

struct Reading {
  ImageFile image;
  std::vector<fs::path> open;  // the files whose includes are being read
  size_t files = 0;
};

// One file into the image.
class FileReader {
 public:
  FileReader(Reading& reading, const toml::table& root, const std::string& file)
      : image_(reading.image),
        reading_(reading),
        reader_(root, file),
        folder_(fs::absolute(file).parent_path()) {}

  Result<> Read(bool may_include);

 private:
  // A path that is there, below the folder of the file.
  auto Below() {
    return [this](const std::string& path) -> std::string {
      std::error_code error;
      const fs::path real = fs::canonical(folder_ / path, error);
      const auto above = fs::canonical(folder_, error);
      if (!path.empty() && !fs::path(path).is_absolute() && !error &&
          std::ranges::mismatch(above, real).in1 == above.end() &&
          !std::ranges::contains(fs::path(path), fs::path("..")))
        return "";
      return std::format("a path that is there, below {}, to which neither .. nor a link leads out",
                         folder_.string());
    };
  }

  void Text(const char* key, std::string& out, auto check) { reader_.Value(key, out, check); }
  void Input(std::string_view key, std::string& out) {
    std::string path;
    reader_.Value(key, path, Below());
    if (!path.empty()) out = (folder_ / path).lexically_normal();
  }
  void Inputs(const char* key, std::vector<std::string>& out) {
    std::vector<std::string> paths;
    reader_.Value(key, paths, Each(Below()));
    for (const std::string& path : paths) out.push_back((folder_ / path).lexically_normal());
  }
  // A path that may be anywhere.
  void Where(const char* key, std::string& out) {
    std::string path;
    reader_.Value(key, path, [](const std::string& text) { return text.empty() ? "a path" : ""; });
    if (!path.empty()) out = (folder_ / path).lexically_normal();
  }
  void List(const char* key, std::vector<std::string>& out, auto check) {
    std::vector<std::string> values;
    reader_.Value(key, values, Each(check));
    std::ranges::move(values, std::back_inserter(out));
  }
  void List(const char* key, std::vector<Placed>& out, auto check) {
    std::vector<std::string> values;
    List(key, values, check);
    for (std::string& value : values) out.push_back({std::move(value), reader_.Place(key)});
  }
  void Size(const char* key, std::optional<uint64_t>& out) {
    std::string text;
    reader_.Value(key, text, ASize);
    if (!text.empty()) out = *ParseSize(text);
  }
  void SecretKeys(const char* key, std::vector<std::string>& out);

  Result<> Includes();
  void Release();
  void Packages();
  void Files();
  void Node();
  void Credential(const std::string& name, std::string_view key, const std::string& file);
  void Disk();
  void Trust();

  ImageFile& image_;
  Reading& reading_;
  TomlReader reader_;
  const fs::path folder_;
};

Result<> ReadFileInto(Reading& reading, const std::string& file);

Result<> FileReader::Includes() {
  std::vector<std::string> files;
  reader_.Value("include", files, Each([&](const std::string& path) -> std::string {
                  if (std::string expected = Below()(path); !expected.empty()) return expected;
                  std::error_code error;
                  const fs::path real = fs::canonical(folder_ / path, error);
                  if (std::ranges::contains(reading_.open, real))
                    return std::format("a file that does not include this one: {} does", path);
                  return "";
                }));
  if (files.empty()) return {};
  if (reading_.open.size() >= kMostDepth)
    return Fail(Code::kUsage, "{}: include: expected at most {} files that include each other",
                reader_.Place("include"), kMostDepth);
  for (const std::string& path : files)
    TRY(ReadFileInto(reading_, (folder_ / path).lexically_normal()));
  return {};
}

void FileReader::Release() {
  reader_.Section("release");
  Text("version", image_.version, AName);
  Text("channel", image_.channel, AName);
  Text("product", image_.product, AName);
  Text("after", image_.after, AName);
  reader_.Value("preview", image_.preview, Anything<bool>);
  std::string initrd = image_.compressed_initrd ? "compressed" : "plain";
  Text("initrd", initrd, [](const std::string& text) {
    return text == "plain" || text == "compressed" ? "" : "plain or compressed";
  });
  image_.compressed_initrd = initrd == "compressed";
  for (const char* key : {"vendor_name", "vendor_url", "home_url", "documentation_url",
                          "support_url", "bug_report_url", "build_id", "support_end"}) {
    std::string text;
    Text(key, text, std::string_view(key) == "support_end" ? ADate : ALine);
    std::string name = key;
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return ::toupper(c); });
    if (!text.empty()) image_.os_release[name] = text;
  }
  reader_.NoOtherKeys();
}

void FileReader::Packages() {
  reader_.Section("packages");
  Input("list", image_.package_list);
  List("add", image_.added, APackage);
  List("remove", image_.removed, APackage);
  reader_.Value("suite_updates", image_.suite_updates, Anything<bool>);
  std::string profile = image_.test_profile ? "test" : "default";
  Text("profile", profile, [](const std::string& text) {
    return text == "default" || text == "test" ? "" : "default or test";
  });
  image_.test_profile = profile == "test";
  Text("mirror", image_.mirror, [](const std::string& text) {
    return text.starts_with("deb ") || text.contains("://")
               ? ""
               : "an address, or a line of apt's sources (\"deb ...\")";
  });
  reader_.NoOtherKeys();
}

void FileReader::Files() {
  reader_.Tables("files", [&] {
    LaidFiles files{.source = "", .path = "", .mode = {}, .place = reader_.Place("source")};
    Input("source", files.source);
    Text("path", files.path, InTheImage);
    std::string mode, owner = "0:0";
    Text("mode", mode, AMode);
    Text("owner", owner, AnOwner);
    std::error_code error;
    const bool folder = fs::is_directory(files.source, error);
    reader_.Require(!files.source.empty(), "source", "path",
                    "[files] expected a source, found none");
    reader_.Require(folder || !files.path.empty(), "path", "source",
                    "[files] expected the path of the file in the image, found none");
    reader_.Require(!folder || mode.empty(), "mode", "source",
                    "[files] mode is for one file: in a folder, what can be run stays so");
    if (!mode.empty()) files.mode = static_cast<mode_t>(std::stoul(mode, nullptr, 8));
    files.uid = static_cast<uint32_t>(std::stoul(owner));
    files.gid = static_cast<uint32_t>(std::stoul(owner.substr(owner.find(':') + 1)));
    if (files.path.empty()) files.path = "/";
    image_.files.push_back(std::move(files));
  });
}

// The file's content as a credential; "" is no file.
void FileReader::Credential(const std::string& name, std::string_view key,
                            const std::string& file) {
  if (file.empty()) return;
  Result<std::string> content = hostos::ReadFile(file, kMaxText);
  reader_.Require(content.has_value(), key, key, content ? "" : content.error().message);
  if (content) image_.credentials[name] = *std::move(content);
}

void FileReader::Node() {
  reader_.Section("node");
  const auto text = [&](const char* key, const char* name, auto check) {
    std::string value;
    Text(key, value, check);
    if (!value.empty()) image_.credentials[name] = value;
  };
  text("hostname", "firstboot.hostname", AHostname);
  text("timezone", "firstboot.timezone", ATimezone);
  text("root_password", "passwd.hashed-password.root", APasswordHash);
  std::vector<std::string> keys, networks;
  List("authorized_keys", keys, AnSshKey);
  for (const std::string& key : keys) image_.credentials["ssh.authorized_keys.root"] += key + "\n";
  std::string hostctl;
  Input("hostctl", hostctl);
  Credential("hostctl.config", "hostctl", hostctl);
  Inputs("networks", networks);
  for (const fs::path file : networks) {
    const std::string type = file.extension(), name = file.stem();
    const bool ok =
        (type == ".network" || type == ".netdev" || type == ".link") && Consists(name, "._-");
    reader_.Require(
        ok, "networks", "networks",
        "[node] networks must be files of systemd-networkd, such as 10-lan.network, found " +
            file.string());
    if (ok) Credential(std::format("network.{}.{}", type.substr(1), name), "networks", file);
  }
  reader_.NoOtherKeys();

  if (const toml::table* others = reader_.Section("credentials"))
    for (const auto& [key, node] : *others) {
      const std::string name(key.str());
      std::string file;
      reader_.Require(
          name.size() <= 200 && Consists(name, "._@-"), key.str(), key.str(),
          std::format("[credentials] expected the name of a system credential, found {}", name));
      Input(key.str(), file);
      Credential(name, key.str(), file);
    }
}

void FileReader::Disk() {
  reader_.Section("disk");
  List("formats", image_.formats, AFormat);
  Size("esp_size", image_.disk.esp_size);
  Size("slot_size", image_.disk.slot_size);
  Size("verity_size", image_.disk.verity_size);
  Size("state_size", image_.disk.state_size);
  auto sector = static_cast<int64_t>(image_.disk.sector_size);
  reader_.Value("sector_size", sector,
                [](int64_t size) { return size == 512 || size == 4096 ? "" : "512 or 4096"; });
  image_.disk.sector_size = static_cast<uint64_t>(sector);
  Input("definitions", image_.disk.definitions);
  reader_.NoOtherKeys();
}

// Files, relative to this one, or what else names secret keys.
void FileReader::SecretKeys(const char* key, std::vector<std::string>& out) {
  std::vector<std::string> sources;
  List(key, sources,
       [](const std::string& text) { return text.empty() ? "FILE, env:NAME or pkcs11:..." : ""; });
  for (const std::string& source : sources)
    out.push_back(source.starts_with("env:") || source.starts_with("pkcs11:")
                      ? source
                      : (folder_ / source).lexically_normal().string());
}

void FileReader::Trust() {
  reader_.Section("trust");
  Inputs("keys", image_.keys);
  Input("root", image_.root);
  SecretKeys("commit_keys", image_.commit_keys);
  SecretKeys("role_keys", image_.role_keys);
  reader_.Number("required_signatures", image_.signatures.required, 1, 64);
  std::string policy;
  Text("signatures", policy, APolicy);
  image_.signatures.policy = PolicyNamed(policy).value_or(image_.signatures.policy);
  reader_.NoOtherKeys();
}

Result<> FileReader::Read(bool may_include) {
  if (may_include) {
    reader_.Top();
    TRY(Includes());
  }
  Release();
  Packages();
  Files();
  reader_.Section("units");
  List("enable", image_.enabled, AUnit);
  List("disable", image_.disabled, AUnit);
  reader_.NoOtherKeys();
  reader_.Section("kernel");
  List("arguments", image_.kernel_arguments, AnArgument);
  reader_.NoOtherKeys();
  Node();
  Disk();
  Trust();
  reader_.Section("repo");
  Where("path", image_.repo);
  reader_.NoOtherKeys();
  reader_.Section("build");
  Where("output", image_.output);
  Where("cache", image_.cache);
  Where("install", image_.installed);
  reader_.NoOtherKeys();
  reader_.NoOtherSections();
  const std::vector<std::string> problems = reader_.Problems();
  if (!problems.empty()) return Fail(Code::kUsage, "{}", problems.front());
  return {};
}

Result<> ReadFileInto(Reading& reading, const std::string& file) {
  if (++reading.files > kMostFiles)
    return Fail(Code::kUsage, "{}: expected at most {} files in all, with those that are included",
                file, kMostFiles);
  const std::string text = TRY(ReadFile(file));
  const auto root = ParseToml(text, file);
  if (!root) return Fail(Code::kUsage, "{}", root.error().problem);
  std::error_code error;
  reading.open.push_back(fs::canonical(file, error));
  TRY(FileReader(reading, *root, file).Read(/*may_include=*/true));
  reading.open.pop_back();
  return {};
}

// "release.version=1.0.1": a text, or where that is the wrong type, TOML.
Result<> ApplyChange(Reading& reading, const std::string& file, const std::string& change) {
  const size_t dot = change.find('.'), equals = change.find('=');
  if (dot == change.npos || equals == change.npos || dot > equals)
    return Fail(Code::kUsage,
                "--set: expected SECTION.KEY=VALUE, such as release.version=1.0.1, found \"{}\"",
                change);
  const std::string section = change.substr(0, dot), key = change.substr(dot + 1, equals - dot - 1),
                    value = change.substr(equals + 1);
  const toml::table text{{section, toml::table{{key, value}}}};
  Reading as_text = reading;
  Result<> read = FileReader(as_text, text, file).Read(/*may_include=*/false);
  if (read) {
    reading = std::move(as_text);
    return {};
  }
  if (const auto other = ParseToml(std::format("[{}]\n{} = {}\n", section, key, value), file)) {
    Reading as_toml = reading;
    if (FileReader(as_toml, *other, file).Read(/*may_include=*/false)) {
      reading = std::move(as_toml);
      return {};
    }
  }
  return Fail(Code::kUsage, "--set {}: {}", change,
              read.error().message.substr(read.error().message.find(": ") + 2));
}

// What no file may leave out.
Result<> CheckWhole(const ImageFile& image) {
  const struct {
    const char* key;
    bool there;
    const char* example;
  } needed[] = {
      {"[release] version", !image.version.empty(), "1.0.0"},
      {"[repo] path", !image.repo.empty(), "repo"},
      {"[trust] keys", !image.keys.empty(), "[\"keys\"]"},
      {"[trust] commit_keys", !image.commit_keys.empty(), "[\"release.pem\"]"},
  };
  for (const auto& [key, there, example] : needed)
    if (!there)
      return Fail(Code::kUsage,
                  "{}: expected {}, such as {}, in it or in a file that it includes, found none",
                  image.file, key, example);
  return {};
}

}  // namespace

Result<ImageFile> LoadImageFile(const std::string& file, const std::vector<std::string>& changes) {
  Reading reading;
  reading.image.file = file;
  TRY(ReadFileInto(reading, file));
  for (const std::string& change : changes) TRY(ApplyChange(reading, file, change));
  ImageFile& image = reading.image;
  TRY(CheckWhole(image));
  if (image.formats.empty()) image.formats = {"raw"};
  const fs::path folder = fs::absolute(file).parent_path();
  if (image.output.empty()) image.output = folder / "out";
  if (image.cache.empty()) {
    const char* cache = ::getenv("HOSTOS_CACHE");
    image.cache = cache ? cache : "/var/cache/hostos";
  }
  return std::move(image);
}

}  // namespace hostos
