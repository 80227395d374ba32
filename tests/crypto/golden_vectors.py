#!/usr/bin/env python3
"""Computes the golden vectors of these tests with another implementation (Python's cryptography).

The tests hold what this prints; it is not run by them.
"""
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def extract(salt, key):
    return hmac.new(salt or bytes(64), key, hashlib.sha512).digest()


def expand(prk, info, size):
    out, block, i = b"", b"", 1
    while len(out) < size:
        block = hmac.new(prk, block + info + bytes([i]), hashlib.sha512).digest()
        out, i = out + block, i + 1
    return out[:size]


def field(value):
    return struct.pack(">I", len(value)) + value


def fields(*values):
    return b"".join(field(v) for v in values)


COUNTING = bytes(range(256))
DEK = bytes(range(32))
TENANT, CONTAINER, OBJECT, RUN = (bytes([i]) * 16 for i in (1, 2, 3, 4))


def seal(key, context, value, nonce):
    subkey = expand(extract(b"", key), b"meridian sealed value 1" + nonce[:12], 32)
    return b"\1" + nonce + AESGCM(subkey).encrypt(nonce[12:], value, b"\1" + context)


def run_info(purpose):
    return field(purpose) + b"\1" + TENANT + CONTAINER + RUN


def encrypt_chunk(number, plaintext, salt):
    prk = extract(salt, DEK)
    material = expand(prk, run_info(b"meridian chunk 1") + struct.pack(">I", number), 39)
    key, prefix = material[:32], material[32:]
    frames = [plaintext[i:i + 65536] for i in range(0, len(plaintext), 65536)] or [b""]
    out = b""
    for i, frame in enumerate(frames):
        nonce = prefix + struct.pack(">I", i) + bytes([i + 1 == len(frames)])
        aad = b"\1\1" + TENANT + CONTAINER + OBJECT + RUN + struct.pack(">III", number, i, len(frame))
        out += AESGCM(key).encrypt(nonce, frame, aad)
    return out


def derive(key, purpose, version):
    info = fields(purpose, TENANT, CONTAINER) + struct.pack(">I", version)
    return expand(extract(b"", key), info, 32)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def keyring_file():
    stretched = hashlib.scrypt(b"correct horse", salt=COUNTING[:32], n=1024, r=8, p=1, dklen=32)
    prk = extract(b"", stretched)
    header = b"MRDNKEYS" + struct.pack(">IQ", 1, 1024) + COUNTING[:32]
    header += expand(prk, b"meridian keyring check 1", 16)
    header += struct.pack(">I", crc32c(header))
    entries = b"\x07cluster\1" + DEK + b"\x08tenant/1\2" + bytes(32)
    key = expand(prk, b"meridian keyring seal 1", 32)
    return header + seal(key, header, entries, COUNTING[:24])


def main():
    salt = COUNTING[:32]
    print("hkdf", expand(extract(b"salt", b"key"), b"info", 100).hex())
    print("commitment",
          expand(extract(salt, DEK), run_info(b"meridian run commitment 1") + OBJECT, 32).hex())
    print("chunk 7 'hello'", encrypt_chunk(7, b"hello", salt).hex())
    pattern = bytes(i % 251 for i in range(65537))
    print("chunk 0 pattern", hashlib.sha256(encrypt_chunk(0, pattern, salt)).hexdigest())
    print("empty chunk", encrypt_chunk(0, b"", salt).hex())
    print("sealed", seal(DEK, b"context", b"value", COUNTING[:24]).hex())
    node = extract(b"", DEK)
    print("segment key", expand(node, fields(b"meridian journal segment 1", b"\5" * 16, salt), 32).hex())
    stream = Cipher(algorithms.AES(DEK), modes.CTR(struct.pack(">QQ", 0, 2))).encryptor()
    print("ctr at 37", (stream.update(bytes(5)), stream.update(b"journal"))[1].hex())
    print("journal record", AESGCM(DEK).encrypt(struct.pack(">IQ", 0, 258), b"record", b"aad").hex())
    kek, name_key = DEK, bytes(range(32, 64))
    object_key = derive(name_key, b"meridian object ids 1", 0)
    print("object id", hmac.new(object_key, b"a/name", hashlib.sha256).hexdigest()[:32])
    mac_key = derive(kek, b"meridian record macs 1", 1)
    print("record mac", hmac.new(mac_key, fields(b"a/name", b"manifest"), hashlib.sha256).hexdigest())
    print("wrapped dek", seal(derive(kek, b"meridian dek wrapping 1", 1), b"dek 1", DEK, COUNTING[:24]).hex())
    names = expand(extract(b"", DEK), b"meridian cluster names 1", 32)
    print("name hash", hmac.new(names, fields(b"tenant", b"acme"), hashlib.sha256).hexdigest())
    print("keyring", keyring_file().hex())


main()
