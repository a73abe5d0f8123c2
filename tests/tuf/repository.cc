#include "tests/tuf/repository.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>

#include "tests/text_file.h"
#include "updater/base/digest.h"
#include "updater/base/unique_fd.h"
#include "updater/tuf/name.h"

namespace hostos::tuf {
namespace {

[[noreturn]] void Broken(const std::string& what) {
  throw std::runtime_error("test repository: " + what);
}

struct Scheme {
  const char* type;
  const char* name;
  const char* digest;  // none: one of its own
};

Scheme SchemeOf(TestKey::Kind kind) {
  switch (kind) {
    case TestKey::Kind::kEd25519:
      return {"ed25519", "ed25519", nullptr};
    case TestKey::Kind::kEcdsa:
      return {"ecdsa", "ecdsa-sha2-nistp256", "SHA256"};
    case TestKey::Kind::kRsa:
      return {"rsa", "rsassa-pss-sha256", "SHA256"};
    case TestKey::Kind::kRsaSha384:
      return {"rsa", "rsassa-pss-sha384", "SHA384"};
    case TestKey::Kind::kRsaSha512:
      return {"rsa", "rsassa-pss-sha512", "SHA512"};
  }
  Broken("kind of key");
}

EVP_PKEY* Generate(TestKey::Kind kind) {
  if (kind == TestKey::Kind::kEd25519) return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  if (kind == TestKey::Kind::kEcdsa) return EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
  return EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{2048});
}

std::span<const uint8_t> Raw(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

Json Meta(const std::string& file, const Json& version, bool with_hashes) {
  Json meta = {{"version", version}};
  if (with_hashes) {
    meta["length"] = file.size();
    meta["hashes"] = {{"sha256", Sha256::Of(AsBytes(file)).Hex()}};
  }
  return meta;
}

}  // namespace

TestKey::TestKey(Kind kind) : kind_(kind), key_(Generate(kind), EVP_PKEY_free) {
  id_ = Sha256::Of(AsBytes(Public().dump())).Hex();
}

Json TestKey::Public() const {
  const Scheme scheme = SchemeOf(kind_);
  if (kind_ == Kind::kEd25519) {
    std::string bytes(32, '\0');
    size_t size = bytes.size();
    EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<uint8_t*>(bytes.data()), &size);
    return {{"keytype", scheme.type},
            {"scheme", scheme.name},
            {"keyval", {{"public", Hex(Raw(bytes))}}}};
  }
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_PUBKEY(bio.get(), key_.get());
  char* data = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(bio.get(), &data));
  return {{"keytype", scheme.type},
          {"scheme", scheme.name},
          {"keyval", {{"public", std::string(data, size)}}}};
}

std::string TestKey::Sign(std::string_view data) const {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free);
  EVP_PKEY_CTX* options = nullptr;
  EVP_DigestSignInit_ex(context.get(), &options, SchemeOf(kind_).digest, nullptr, nullptr,
                        key_.get(), nullptr);
  if (EVP_PKEY_get_id(key_.get()) == EVP_PKEY_RSA) {
    EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST);
  }
  std::string signature(1024, '\0');
  size_t size = signature.size();
  if (EVP_DigestSign(context.get(), reinterpret_cast<uint8_t*>(signature.data()), &size,
                     reinterpret_cast<const uint8_t*>(data.data()), data.size()) != 1) {
    Broken("signing");
  }
  signature.resize(size);
  return signature;
}

TestKey TestKey::Renamed(std::string id) const {
  TestKey key = *this;
  key.id_ = std::move(id);
  return key;
}

std::string SignedFile(const Json& body, const std::vector<TestKey>& keys) {
  Json signatures = Json::array();
  for (const TestKey& key : keys) {
    signatures.push_back({{"keyid", key.id()}, {"sig", Hex(Raw(key.Sign(CanonicalJson(body))))}});
  }
  return Json{{"signatures", signatures}, {"signed", body}}.dump(1);
}

Result<std::string> Files::Fetch(const std::string& path, size_t cap) {
  fetched.push_back(path);
  if (std::cmp_equal(fetched.size(), fail_after + 1)) {
    return Fail(Code::kNetwork, "{}: the network is gone", path);
  }
  const auto file = files.find(path);
  if (file == files.end()) return Fail(Code::kNotFound, "{}: HTTP status 404", path);
  if (file->second.size() > cap && !ignores_cap) {
    return Fail(Code::kNetwork, "{}: expected at most {} bytes, found more", path, cap);
  }
  return file->second;
}

Repository::Repository() {
  for (const char* role : {"root", "timestamp", "snapshot", "targets"}) {
    bodies_[role] = {
        {"_type", role}, {"spec_version", "1.0.31"}, {"version", 0}, {"expires", kFarAway}};
  }
  bodies_["root"].update(
      {{"consistent_snapshot", true}, {"keys", Json::object()}, {"roles", Json::object()}});
  bodies_["targets"]["targets"] = Json::object();
  for (const char* role : {"root", "timestamp", "snapshot", "targets"}) {
    bodies_["root"]["roles"][role] = {{"threshold", 1}, {"keyids", Json::array()}};
    AddKey(role, TestKey());
  }
  Publish({"root", "targets", "snapshot", "timestamp"});
}

void Repository::AddKey(const std::string& role, const TestKey& key, const std::string& delegator) {
  Json& parent = delegator == "root" ? bodies_["root"] : bodies_[delegator]["delegations"];
  parent["keys"][key.id()] = key.Public();
  Json& roles = parent["roles"];
  Json* entry = &roles;
  if (delegator == "root") {
    entry = &roles[role];
  } else {
    for (Json& candidate : roles) {
      if (candidate["name"] == role) entry = &candidate;
    }
  }
  (*entry)["keyids"].push_back(key.id());
  signers_[role].push_back(key);
}

void Repository::Rotate(const std::string& role) {
  bodies_["root"]["roles"][role]["keyids"] = Json::array();
  signers_[role].clear();
  AddKey(role, TestKey());
}

void Repository::Publish(std::initializer_list<const char*> roles) {
  for (const char* role : roles) {
    Json& version = bodies_[role]["version"];
    version = version.get<int64_t>() + 1;
    Serve(role);
  }
}

void Repository::Replace(const std::string& role) {
  Serve(role);
}

void Repository::Serve(const std::string& role) {
  const Json& body = bodies_[role];
  const std::string file = SignedFile(body, signers_[role]);
  const std::string name = EncodeName(role) + ".json";
  const bool versioned = role == "root" || bodies_["root"]["consistent_snapshot"] == true;
  metadata.files[role != "timestamp" && versioned ? body["version"].dump() + "." + name : name] =
      file;
  if (role == "snapshot") {
    bodies_["timestamp"]["meta"]["snapshot.json"] = Meta(file, body["version"], with_hashes);
  } else if (role != "root" && role != "timestamp") {
    bodies_["snapshot"]["meta"][role + ".json"] = Meta(file, body["version"], with_hashes);
  }
}

void Repository::AddTarget(const std::string& role, const std::string& path,
                           const std::string& content) {
  const std::string hash = Sha256::Of(AsBytes(content)).Hex();
  bodies_[role]["targets"][path] = {{"length", content.size()}, {"hashes", {{"sha256", hash}}}};
  const size_t name = path.rfind('/') + 1;
  targets.files[path.substr(0, name) + hash + "." + path.substr(name)] = content;
}

void Repository::Delegate(const std::string& from, const std::string& name, const Json& paths,
                          bool terminating) {
  if (!bodies_.contains(name)) {
    bodies_[name] = bodies_["targets"];
    bodies_[name].update({{"version", 0}, {"targets", Json::object()}});
    bodies_[name].erase("delegations");
  }
  Json& delegations = bodies_[from]["delegations"];
  if (delegations.is_null()) delegations = {{"keys", Json::object()}, {"roles", Json::array()}};
  delegations["roles"].push_back({{"name", name},
                                  {"threshold", 1},
                                  {"terminating", terminating},
                                  {"paths", paths},
                                  {"keyids", Json::array()}});
  AddKey(name, TestKey(), from);
}

Machine::Machine(Repository& repository) : repository_(&repository) {
  const Result<> done = Client::Init(metadata.path(), repository.root());
  if (!done) Broken(done.error().message);
}

Result<Client> Machine::Refresh(uint64_t now) {
  repository_->metadata.fetched.clear();
  return Client::Refresh(metadata.path(), repository_->metadata, now);
}

Error Machine::Refused(uint64_t now) {
  const Result<Client> client = Refresh(now);
  if (client) Broken("a refresh went well that should not have");
  return client.error();
}

Result<std::string> Machine::Get(const std::string& path, uint64_t now) {
  Client client = TRY(Refresh(now));
  const TargetFile target = TRY(client.Find(path));
  return ReadText(TRY(client.Download(target, repository_->targets, targets.path())));
}

int64_t Machine::Version(const std::string& role) const {
  const std::string path = metadata / (EncodeName(role) + ".json");
  if (!std::filesystem::exists(path)) return 0;
  return Json::parse(ReadText(path))["signed"]["version"];
}

std::string Machine::Trusted() const {
  std::vector<std::string> roles;
  for (const auto& entry : std::filesystem::directory_iterator(metadata.path())) {
    if (entry.path().extension() != ".json") Broken("in the way: " + entry.path().string());
    roles.push_back(std::format("{} {}", entry.path().stem().string(),
                                Json::parse(ReadText(entry.path()))["signed"]["version"].dump()));
  }
  std::ranges::sort(roles);
  std::string text;
  for (const std::string& role : roles) text += (text.empty() ? "" : ", ") + role;
  return text;
}

std::vector<std::string> Machine::Downloaded() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(targets.path())) {
    names.push_back(entry.path().filename());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace hostos::tuf
