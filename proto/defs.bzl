"""One target for each .proto file, made by protoc and Debian's grpc_cpp_plugin."""

def meridian_proto(name, src, deps = [], grpc = False, visibility = None):
    """C++ classes of one .proto file; with grpc, its services in a second target NAME_grpc.

    Args:
      name: of the cc_library of messages; by convention the file's name + "_proto".
      src: the .proto file, its path relative to proto/, as other files import it.
      deps: the meridian_proto targets of the files that it imports.
      grpc: whether the file has services.
      visibility: as usual.
    """
    base = src[:-len(".proto")]
    native.filegroup(
        name = name + "_src",
        srcs = [src] + [d + "_src" for d in deps],
        visibility = ["//visibility:public"],
    )
    native.genrule(
        name = name + "_gen",
        srcs = [":" + name + "_src"],
        outs = [base + ".pb.cc", base + ".pb.h"],
        cmd = "protoc -Iproto --cpp_out=$(RULEDIR) %s/%s" % (native.package_name(), src),
    )
    native.cc_library(
        name = name,
        srcs = [base + ".pb.cc"],
        hdrs = [base + ".pb.h"],
        copts = ["-w"],
        includes = ["."],
        visibility = visibility,
        deps = deps + ["@system//:protobuf"],
    )
    if grpc:
        native.genrule(
            name = name + "_grpc_gen",
            srcs = [":" + name + "_src"],
            outs = [base + ".grpc.pb.cc", base + ".grpc.pb.h"],
            cmd = "protoc -Iproto --plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin " +
                  "--grpc_out=$(RULEDIR) %s/%s" % (native.package_name(), src),
        )
        native.cc_library(
            name = name + "_grpc",
            srcs = [base + ".grpc.pb.cc"],
            hdrs = [base + ".grpc.pb.h"],
            copts = ["-w"],
            includes = ["."],
            visibility = visibility,
            deps = [":" + name, "@system//:grpc++"],
        )
