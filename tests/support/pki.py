"""Certificates and OCSP responses for one test: any key type, any names, made with openssl alone.

scripts/make-certs makes what people need; this makes what only tests want, such as one server for
four names with keys of five types. Everything lies in a folder that goes away with the test.
"""

import pathlib
import re
import tempfile

import processes

KEY_TYPES = {
    "p256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "p384": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "rsa2048": ["-newkey", "rsa:2048"],
    "rsa3072": ["-newkey", "rsa:3072"],
    "ed25519": ["-newkey", "ed25519"],
}
CA_EXTENSIONS = (
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=critical,keyCertSign,cRLSign",
    "subjectKeyIdentifier=hash",
)
LEAF_EXTENSIONS = (
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature,keyEncipherment",
    "extendedKeyUsage=serverAuth,clientAuth",
    "authorityKeyIdentifier=keyid",
)


def openssl(*arguments):
    """Runs the openssl command; returns what it prints."""
    status, output, errors = processes.run(["openssl", *map(str, arguments)])
    if status != 0:
        raise AssertionError(f"openssl {' '.join(map(str, arguments))}: status {status}\n{errors}")
    return output


class Pki:
    """A CA and what it issues, in a temporary folder. Use it in a `with`."""

    def __init__(self, key_type="p256"):
        self._folder = tempfile.TemporaryDirectory(prefix="certpost-pki-")
        self.folder = pathlib.Path(self._folder.name)
        self.ca = self.path("ca.crt")
        # The system's openssl.cnf would add extensions of its own.
        self._config = self.write("openssl.cnf", b"[req]\ndistinguished_name = name\n[name]\n")
        self._request("ca", key_type, CA_EXTENSIONS)

    def path(self, name):
        return str(self.folder / name)

    def _request(self, name, key_type, extensions, *options):
        command = ["req", "-config", self._config, "-x509", "-noenc", "-subj", f"/CN={name}", "-days", "60"]
        for extension in extensions:
            command += ["-addext", extension]
        command += [*KEY_TYPES[key_type], "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.crt")]
        openssl(*command, *options)

    def issue(self, name, dns, key_type="p256", ips=(), days=60):
        """NAME.crt and NAME.key for these DNS names and addresses; returns both paths."""
        names = ",".join([f"DNS:{entry}" for entry in dns] + [f"IP:{entry}" for entry in ips])
        extensions = LEAF_EXTENSIONS + ((f"subjectAltName={names}",) if names else ())
        self._request(name, key_type, extensions, "-CA", self.ca, "-CAkey", self.path("ca.key"), "-days", days)
        return self.path(f"{name}.crt"), self.path(f"{name}.key")

    def ocsp(self, name, verdict="V", validity=("-ndays", "2")):
        """An OCSP response about NAME.crt: verdict V (good), R (revoked) or unknown; returns its path."""
        serial = openssl("x509", "-in", self.path(f"{name}.crt"), "-noout", "-serial").strip().partition("=")[2]
        revoked = "260101000000Z" if verdict == "R" else ""
        index = "" if verdict == "unknown" else f"{verdict}\t491231235959Z\t{revoked}\t{serial}\tunknown\t/CN={name}\n"
        pathlib.Path(self.path(f"{name}.index")).write_text(index, encoding="ascii")
        response = self.path(f"{name}.ocsp")
        openssl(
            "ocsp", "-index", self.path(f"{name}.index"), "-CA", self.ca, "-rsigner", self.ca,
            "-rkey", self.path("ca.key"), "-issuer", self.ca, "-cert", self.path(f"{name}.crt"),
            "-respout", response, "-noverify", *validity,
        )  # fmt: skip
        return response

    def age_ocsp(self, response):
        """Moves all times of a response to the year 2020. Its signature is then wrong, too."""
        data = pathlib.Path(response).read_bytes()
        aged = re.sub(rb"\x18\x0f20\d\d(\d{10}Z)", lambda time: b"\x18\x0f2020" + time.group(1), data)
        if aged == data:
            raise AssertionError("the response has no times")
        return self.write(pathlib.Path(response).name, aged)

    def encrypt(self, name, passphrase, traditional=False):
        """NAME.key, encrypted, as a file beside it; returns its path."""
        encrypted = self.path(f"{name}.{'traditional' if traditional else 'pkcs8'}.key")
        source = self.path(f"{name}.key")
        kind = ["pkey", "-traditional", "-aes256"] if traditional else ["pkcs8", "-topk8", "-v2", "aes256"]
        openssl(*kind, "-in", source, "-out", encrypted, "-passout", f"pass:{passphrase}")
        return encrypted

    def write(self, name, data, mode=0o600):
        path = self.folder / name
        path.write_bytes(data)
        path.chmod(mode)
        return str(path)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self._folder.cleanup()


def served_name(text):
    """The common name of the certificate that `openssl s_client` was sent."""
    found = re.search(r"^subject=.*CN ?= ?(\S+)", text, re.MULTILINE)
    if found is None:
        raise AssertionError(f"no certificate in {text}")
    return found.group(1)
