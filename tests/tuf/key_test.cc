#include "updater/tuf/key.h"

#include <openssl/ui.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <memory>

#include "tests/tuf/repository.h"
#include "updater/base/digest.h"

namespace hostos::tuf {
namespace {

constexpr auto kKinds = {TestKey::Kind::kEd25519, TestKey::Kind::kEcdsa, TestKey::Kind::kRsa,
                         TestKey::Kind::kRsaSha384, TestKey::Kind::kRsaSha512};

Key Read(const Json& json) {
  return Key(Object::From(json, "key").value());
}

TEST_CASE("a key of each kind verifies what it signed, and nothing else") {
  const auto kind = GENERATE(values(kKinds));
  const TestKey pair(kind), other(kind);
  const Key key = Read(pair.Public());
  const std::string signature = pair.Sign("data");
  CHECK(key.Verifies("data", signature));
  CHECK_FALSE(key.Verifies("date", signature));
  CHECK_FALSE(key.Verifies("data", other.Sign("data")));
  CHECK_FALSE(key.Verifies("data", ""));
  std::string changed = signature;
  changed[changed.size() / 2] ^= 1;
  CHECK_FALSE(key.Verifies("data", changed));
}

TEST_CASE("a signature of another length verifies nothing") {
  const auto kind = GENERATE(values(kKinds));
  const TestKey pair(kind);
  const Key key = Read(pair.Public());
  const std::string signature = pair.Sign("data");
  CHECK_FALSE(key.Verifies("data", signature + '\0'));
  CHECK_FALSE(key.Verifies("data", signature.substr(0, signature.size() - 1)));
  CHECK_FALSE(key.Verifies("data", '\0' + signature));
  CHECK_FALSE(key.Verifies("data", signature + signature));
}

TEST_CASE("ECDSA keys go by two names") {
  const TestKey pair(TestKey::Kind::kEcdsa);
  Json json = pair.Public();
  json["keytype"] = "ecdsa-sha2-nistp256";
  CHECK(Read(json).Verifies("data", pair.Sign("data")));
}

TEST_CASE("an RSA key verifies with the digest that its scheme names, and with no other") {
  const TestKey pair(TestKey::Kind::kRsa);
  Json json = pair.Public();
  for (const char* scheme : {"rsassa-pss-sha384", "rsassa-pss-sha512"}) {
    json["scheme"] = scheme;
    CHECK_FALSE(Read(json).Verifies("data", pair.Sign("data")));
    CHECK(Read(json) == Read(pair.Public()));  // a second scheme makes no second key
  }
  json["scheme"] = "rsa-pkcs1v15-sha256";
  CHECK_FALSE(Read(json).Verifies("data", pair.Sign("data")));
}

TEST_CASE("a key of an unknown kind is no error and verifies nothing") {
  const TestKey pair;
  for (const auto& [field, value] :
       {std::pair("keytype", "sphincs"), {"keytype", "ecdsa"}, {"scheme", "ed25519ph"}}) {
    Json json = pair.Public();
    json[field] = value;
    CHECK_FALSE(Read(json).Verifies("data", pair.Sign("data")));
    CHECK_FALSE(Read(json) == Read(json));
  }
  CHECK_FALSE(Read(Json::object()).Verifies("data", pair.Sign("data")));
  CHECK_FALSE(Read({{"keytype", 1}, {"keyval", "x"}}).Verifies("data", pair.Sign("data")));
}

TEST_CASE("a key that is broken or too weak is no error and verifies nothing") {
  const TestKey pair;
  const std::string hex = pair.Public()["keyval"]["public"];
  using namespace std::string_literals;
  for (const std::string& text : {""s, "zz"s, hex.substr(2), hex + "00", hex + "0", hex + "\0"s,
                                  "-----BEGIN PUBLIC KEY-----"s}) {
    Json json = pair.Public();
    json["keyval"]["public"] = text;
    CHECK_FALSE(Read(json).Verifies("data", pair.Sign("data")));
  }
  // A key of one kind does not pass for one of another.
  const TestKey ecdsa(TestKey::Kind::kEcdsa), rsa(TestKey::Kind::kRsa);
  Json mixed = ecdsa.Public();
  mixed["keyval"] = rsa.Public()["keyval"];
  CHECK_FALSE(Read(mixed).Verifies("data", rsa.Sign("data")));
  mixed = rsa.Public();
  mixed["keyval"] = ecdsa.Public()["keyval"];
  CHECK_FALSE(Read(mixed).Verifies("data", ecdsa.Sign("data")));
}

TEST_CASE("a key that says it is encrypted has nobody asked for its passphrase") {
  static bool asked;
  asked = false;
  const std::unique_ptr<UI_METHOD, decltype([](UI_METHOD* method) {
                          UI_set_default_method(UI_OpenSSL());
                          UI_destroy_method(method);
                        })>
      somebody(UI_create_method("somebody"));
  UI_method_set_reader(somebody.get(), [](UI*, UI_STRING*) {
    asked = true;
    return -1;
  });
  UI_set_default_method(somebody.get());
  Json json = TestKey(TestKey::Kind::kRsa).Public();
  std::string pem = json["keyval"]["public"];
  pem.insert(pem.find('\n') + 1,
             "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n");
  json["keyval"]["public"] = pem;
  CHECK_FALSE(Read(json).Verifies("data", ""));
  CHECK_FALSE(asked);
}

TEST_CASE("keys are equal when their material is, however it is written") {
  const auto kind = GENERATE(TestKey::Kind::kEd25519, TestKey::Kind::kEcdsa);
  const TestKey pair(kind), other(kind);
  CHECK(Read(pair.Public()) == Read(pair.Public()));
  CHECK_FALSE(Read(pair.Public()) == Read(other.Public()));
  Json again = pair.Public();
  std::string text = again["keyval"]["public"];
  if (kind == TestKey::Kind::kEd25519) {
    for (char& c : text) c = static_cast<char>(std::toupper(c));
  } else {
    text = "A key:\n" + text;
  }
  again["keyval"]["public"] = text;
  again["note"] = "mine";
  CHECK(Read(pair.Public()) == Read(again));
}

TEST_CASE("hexadecimal is read whole or not at all") {
  CHECK(DecodeHex("00ffA0") == std::string("\0\xff\xa0", 3));
  using namespace std::string_literals;
  for (const std::string& text : {""s, "0"s, "0g"s, "00:ff"s, "00 ff"s, "00\0ff"s, "00\0"s}) {
    CHECK(DecodeHex(text).empty());
  }
}

}  // namespace
}  // namespace hostos::tuf
