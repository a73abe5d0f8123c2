#!/usr/bin/python3
"""Is this a CycloneDX 1.6 and an SPDX 2.3 document? CycloneDX has a schema, in Debian's python3-cyclonedx-lib; what
SPDX 2.3 asks for is written here, after its specification.

usage: check.py CYCLONEDX SPDX
"""

import json
import re
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import get_spdx_licensing
from packageurl import PackageURL

LICENSING = get_spdx_licensing()
PURPOSES = {"APPLICATION", "FILE", "LIBRARY", "OPERATING-SYSTEM", "SOURCE"}
RELATIONSHIPS = {"CONTAINS", "DESCRIBES", "DYNAMIC_LINK", "GENERATED_FROM"}
NOT_SAID = "NOASSERTION"
problems = []


def expect(holds, what):
    if not holds:
        problems.append(what)


def expect_once(names, what):
    expect(len(names) == len(set(names)), f"{what}: expected each once")


def references(expression):
    """The licences of an expression that SPDX does not list."""
    unknown = set(map(str, LICENSING.unknown_license_keys(expression)))
    expect(all(re.fullmatch(r"LicenseRef-[A-Za-z0-9.-]+", name) for name in unknown), f"{expression}: {unknown}")
    return unknown


def expect_url(url):
    parsed = PackageURL.from_string(url)
    expect(parsed.type == "deb" and {"arch", "distro"} <= set(parsed.qualifiers), url)


def check_cyclonedx(text):
    expect((problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)) is None, f"schema: {problem}")
    bom = json.loads(text)
    refs = [component["bom-ref"] for component in [bom["metadata"]["component"], *bom["components"]]]
    expect_once(refs, "bom-ref")
    for entry in bom["dependencies"]:
        expect({entry["ref"], *entry["dependsOn"]} <= set(refs), f"{entry['ref']} depends on what is not there")
        expect_once(entry["dependsOn"], entry["ref"])
    expect_once([entry["ref"] for entry in bom["dependencies"]], "dependencies")
    for composition in bom.get("compositions", []):
        expect(set(composition["dependencies"]) <= set(refs), "compositions")
    for component in bom["components"]:
        if "purl" in component:
            expect_url(component["purl"])
        for licence in component.get("licenses", []):
            references(licence["expression"])


def check_spdx(text):
    document = json.loads(text)
    expect(document["spdxVersion"] == "SPDX-2.3" and document["dataLicense"] == "CC0-1.0", "version and licence")
    expect(document["SPDXID"] == "SPDXRef-DOCUMENT" and document["name"], "SPDXID and name")
    expect(re.fullmatch(r"https://[^#\s]+", document["documentNamespace"]), document["documentNamespace"])
    creation = document["creationInfo"]
    expect(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", creation["created"]), creation["created"])
    expect(all(re.match(r"(Tool|Organization): \S", creator) for creator in creation["creators"]), "creators")
    ids, named = ["SPDXRef-DOCUMENT"], set()
    for package in document["packages"]:
        ids.append(package["SPDXID"])
        expect(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", package["SPDXID"]), package["SPDXID"])
        expect(package["name"] and package["versionInfo"], f"{package['SPDXID']}: name and version")
        expect(package["downloadLocation"] == package["licenseConcluded"] == package["copyrightText"] == NOT_SAID
               and package["filesAnalyzed"] is False, f"{package['SPDXID']}: what is not said")
        expect(package["primaryPackagePurpose"] in PURPOSES, package["primaryPackagePurpose"])
        expect(package["supplier"] == NOT_SAID or re.match(r"Organization: \S", package["supplier"]),
               package["supplier"])
        if package["licenseDeclared"] != NOT_SAID:
            named |= references(package["licenseDeclared"])
        for external in package.get("externalRefs", []):
            expect(external["referenceCategory"] == "PACKAGE-MANAGER" and external["referenceType"] == "purl",
                   f"{package['SPDXID']}: externalRefs")
            expect_url(external["referenceLocator"])
        for checksum in package.get("checksums", []):
            expect(checksum["algorithm"] == "SHA256" and re.fullmatch(r"[0-9a-f]{64}", checksum["checksumValue"]),
                   f"{package['SPDXID']}: checksums")
    expect_once(ids, "SPDXID")
    for relationship in document["relationships"]:
        expect({relationship["spdxElementId"], relationship["relatedSpdxElement"]} <= set(ids), relationship)
        expect(relationship["relationshipType"] in RELATIONSHIPS, relationship)
    expect(any(each["relationshipType"] == "DESCRIBES" for each in document["relationships"]), "DESCRIBES")
    licences = document["hasExtractedLicensingInfos"]
    expect(all(licence["extractedText"] for licence in licences), "extractedText")
    expect({licence["licenseId"] for licence in licences} == named, "hasExtractedLicensingInfos")


check_cyclonedx(open(sys.argv[1], encoding="utf-8").read())
check_spdx(open(sys.argv[2], encoding="utf-8").read())
print("\n".join(map(str, problems[:20])))
sys.exit(1 if problems else 0)
