#include "updater/release/signature.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <filesystem>

#include "updater/base/text.h"
#include "updater/base/unique_fd.h"
#include "updater/release/openssl_key.h"
#include "updater/release/secret_text.h"

namespace hostos {
namespace {

Key FromRawPublic(const PublicKey& key) {
  return Key(EVP_PKEY_new_raw_public_key_ex(nullptr, ProviderName(key.algorithm), nullptr,
                                            Bytes(key.bytes), key.bytes.size()));
}

bool Contains(std::span<const PublicKey> keys, const PublicKey& wanted) {
  return std::ranges::any_of(keys, [&](const PublicKey& key) { return key.SameAs(wanted); });
}

}  // namespace

std::string_view Name(Algorithm algorithm) {
  return algorithm == Algorithm::kEd25519 ? "ed25519" : "ML-DSA-65";
}

bool Demands(SignaturePolicy policy, Algorithm algorithm) {
  return policy == SignaturePolicy::kHybrid ||
         (policy == SignaturePolicy::kPq) == (algorithm == Algorithm::kMlDsa65);
}

SignaturePolicy Stricter(SignaturePolicy a, SignaturePolicy b) {
  return a == b ? a : SignaturePolicy::kHybrid;
}

std::optional<SignaturePolicy> PolicyNamed(std::string_view name) {
  const auto found = std::ranges::find(kPolicyNames, name);
  if (found == kPolicyNames.end()) return std::nullopt;
  return static_cast<SignaturePolicy>(found - kPolicyNames.begin());
}

Result<std::vector<PublicKey>> PublicKey::Load(const std::string& path) {
  const std::string text = TRY(ReadFile(path));
  std::vector<PublicKey> keys;
  int number = 1;  // of the line
  // Takes the text up to and including the next `end`.
  std::string_view rest = text;
  const auto take = [&](std::string_view end) {
    const size_t at = rest.find(end);
    const std::string_view taken = rest.substr(0, at == rest.npos ? at : at + end.size());
    rest.remove_prefix(taken.size());
    return taken;
  };
  while (!rest.empty()) {
    const bool pem = rest.starts_with(kPemBegin);
    const std::string_view taken = take(pem ? kPemEnd : "\n");
    const std::string_view entry = Trim(taken);
    if (!entry.empty() && entry.front() != '#') {
      std::optional<PublicKey> key = ParsePublic(entry);
      if (!key &&
          HasSecretKey(std::string_view(text).substr(text.size() - rest.size() - taken.size())))
        return Fail(Code::kUsage,
                    "{}:{}: expected a public key, found a secret one; its public half: hostimage "
                    "public --key {}",
                    path, number, path);
      if (!key) {
        return Fail(Code::kUsage,
                    "{}:{}: expected a public key (ed25519: base64 of 32 bytes; ML-DSA-65: PEM), "
                    "found '{}'",
                    path, number, entry.substr(0, 60));
      }
      key->name = path;
      keys.push_back(*std::move(key));
    }
    number += static_cast<int>(std::ranges::count(taken, '\n'));
  }
  if (keys.empty()) return Fail(Code::kUsage, "{}: expected a public key, found none", path);
  return keys;
}

std::string PublicKey::Text() const {
  if (algorithm == Algorithm::kEd25519) return EncodeBase64(bytes) + "\n";
  const Bio bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PUBKEY(bio.get(), FromRawPublic(*this).get()) != 1) return {};
  char* data = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(bio.get(), &data));
  return {data, size};
}

bool PublicKey::Verifies(std::string_view data, const Signature& signature) const {
  if (signature.algorithm != algorithm || signature.bytes.size() != SizesOf(algorithm).signature)
    return false;
  const Key key = FromRawPublic(*this);
  const KeyContext context(EVP_MD_CTX_new());
  return key && context &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), Bytes(signature.bytes), signature.bytes.size(),
                          Bytes(data), data.size()) == 1;
}

TrustedKeys ReadTrustedKeys(std::span<const std::string> directories) {
  TrustedKeys trusted;
  for (const std::string& directory : directories) {
    std::error_code error;
    std::vector<std::string> files;
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
      if (entry->path().extension() == ".pub") files.push_back(entry->path());
    }
    if (error && error != std::errc::no_such_file_or_directory)
      trusted.problems.push_back(FailErrno(directory, error.value()).error().message);
    std::ranges::sort(files);
    for (const std::string& file : files) {
      Result<std::vector<PublicKey>> keys = PublicKey::Load(file);
      if (!keys) {
        trusted.problems.push_back(std::move(keys.error().message));
        continue;
      }
      for (PublicKey& key : *keys) {
        if (!Contains(trusted.keys, key)) trusted.keys.push_back(std::move(key));
      }
    }
  }
  return trusted;
}

Result<TrustedKeys> LoadTrustedKeys(std::span<const std::string> directories) {
  TrustedKeys trusted = ReadTrustedKeys(directories);
  if (!trusted.keys.empty()) return trusted;
  std::string problems;
  for (const std::string& problem : trusted.problems) problems += "; not used: " + problem;
  return Fail(Code::kNotTrusted, "no trusted key: expected at least one *.pub file in {}{}",
              Joined(directories), problems);
}

Result<std::vector<PublicKey>> LoadGivenKeys(std::span<const std::string> directories) {
  TrustedKeys trusted = ReadTrustedKeys(directories);
  if (!trusted.problems.empty()) return Fail(Code::kUsage, "{}", trusted.problems.front());
  return TRY(LoadTrustedKeys(directories)).keys;
}

std::vector<PublicKey> ValidSigners(std::span<const PublicKey> trusted, std::string_view data,
                                    std::span<const Signature> signatures) {
  std::vector<PublicKey> signers;
  for (const PublicKey& key : trusted) {
    const auto verifies = [&](const Signature& each) { return key.Verifies(data, each); };
    if (!Contains(signers, key) && std::ranges::any_of(signatures, verifies))
      signers.push_back(key);
  }
  return signers;
}

}  // namespace hostos
