"""Certificate authorities of a test's own: intermediates, revocation lists out of date, odd names.

What scripts/make-certs makes is what people use, and comes from certificates.py; this is for the
rest. Everything is made with the openssl command in the folder that the test gives.
"""

import datetime
import pathlib

import processes

DAY = datetime.timedelta(days=1)
CA_EXTENSIONS = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
LEAF_EXTENSIONS = (
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature",
    "extendedKeyUsage=clientAuth",
)
CRL_CONFIG = """\
[ca]
default_ca = this
[this]
database = {folder}/index
default_md = sha256
crl_extensions = extensions
[extensions]
authorityKeyIdentifier = keyid
"""


def openssl(*arguments):
    """Runs openssl, which must succeed; returns its standard output."""
    status, output, errors = processes.run(["openssl", *map(str, arguments)])
    if status != 0:
        raise AssertionError(f"openssl {arguments}: {errors}")
    return output


def serial_of(certificate):
    """The serial number in hexadecimal, as openssl prints it."""
    return openssl("x509", "-in", certificate, "-noout", "-serial").strip().partition("=")[2]


def pin_of(certificate):
    """The pin of the certificate's key, computed by the openssl command alone."""
    public = pathlib.Path(str(certificate) + ".public")
    public.write_text(openssl("x509", "-in", certificate, "-noout", "-pubkey"), encoding="ascii")
    der = f"{public}.der"
    digest = f"{public}.digest"
    openssl("pkey", "-pubin", "-in", public, "-outform", "der", "-out", der)
    openssl("dgst", "-sha256", "-binary", "-out", digest, der)
    return "sha256//" + openssl("base64", "-A", "-in", digest).strip()


class Authority:
    """A CA: self-signed, or signed by `parent`."""

    def __init__(self, folder, name, parent=None):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir()
        self.certificate = self.folder / "ca.crt"
        self.key = self.folder / "ca.key"
        issuer = parent.signer() if parent else ()
        self._make(self.certificate, self.key, f"/CN={name}", CA_EXTENSIONS, issuer)

    def signer(self):
        return ("-CA", self.certificate, "-CAkey", self.key)

    @staticmethod
    def _make(certificate, key, subject, extensions, issuer):
        added = [word for extension in extensions for word in ("-addext", extension)]
        openssl(
            "req", "-x509", "-utf8", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
            "-days", "2", "-keyout", key, "-out", certificate, "-subj", subject, *issuer, *added,
        )  # fmt: skip

    def issue(self, name, subject=None, alternative=None, chain=()):
        """A client certificate, with the certificates of `chain` after it; returns both paths."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        extensions = list(LEAF_EXTENSIONS)
        if alternative:
            extensions.append(f"subjectAltName={alternative}")
        self._make(certificate, key, subject or f"/CN={name}", extensions, self.signer())
        with open(certificate, "ab") as whole:
            for link in chain:
                whole.write(pathlib.Path(link).read_bytes())
        return str(certificate), str(key)

    def revocation_list(self, revoked=(), ended=False, days=1):
        """A revocation list of yesterday with these certificates in it, good for `days` more; `ended`: out of
        date since yesterday."""
        now = datetime.datetime.now(datetime.timezone.utc)
        index = [
            f"R\t{now + DAY:%y%m%d%H%M%SZ}\t{now - DAY:%y%m%d%H%M%SZ}\t{serial_of(path)}\tunknown\t/CN=x\n"
            for path in revoked
        ]
        (self.folder / "index").write_text("".join(index), encoding="ascii")
        config = self.folder / "config"
        config.write_text(CRL_CONFIG.format(folder=self.folder), encoding="utf-8")
        last = now - (3 * DAY if ended else DAY)
        following = now + (-DAY if ended else days * DAY)
        path = self.folder / "ca.crl"
        openssl(
            "ca", "-gencrl", "-config", config, "-cert", self.certificate, "-keyfile", self.key,
            "-crl_lastupdate", f"{last:%Y%m%d%H%M%SZ}", "-crl_nextupdate", f"{following:%Y%m%d%H%M%SZ}",
            "-out", path,
        )  # fmt: skip
        return str(path)
