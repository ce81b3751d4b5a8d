"""An agent on gRPC's C core, which shares no code with ours: asks for health, reads the reflected descriptors, and
streams batches. Prints what it was answered as one line of JSON."""
import base64
import json
import queue
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

options = json.loads(sys.argv[1])
files = descriptor_pb2.FileDescriptorSet.FromString(base64.b64decode(options["descriptors"]))
pool = descriptor_pool.DescriptorPool()
for file in files.file:
    pool.Add(file)


def message(name):
    descriptor = pool.FindMessageTypeByName(name)
    make = getattr(message_factory, "GetMessageClass", None)
    return make(descriptor) if make else message_factory.MessageFactory(pool).GetPrototype(descriptor)


def stream_method(channel, path, request, answer):
    return channel.stream_stream(
        path, request_serializer=request.SerializeToString, response_deserializer=answer.FromString)


target = "127.0.0.1:%d" % options["port"]
if options.get("ca"):
    read = lambda path: open(path, "rb").read()
    credentials = grpc.ssl_channel_credentials(read(options["ca"]), read(options["key"]), read(options["cert"]))
    channel = grpc.secure_channel(target, credentials)
else:
    channel = grpc.insecure_channel(target)

HealthRequest = message("grpc.health.v1.HealthCheckRequest")
HealthResponse = message("grpc.health.v1.HealthCheckResponse")
check = channel.unary_unary(
    "/grpc.health.v1.Health/Check",
    request_serializer=HealthRequest.SerializeToString,
    response_deserializer=HealthResponse.FromString)
health = check(HealthRequest(service="ebpfmon.v1.Fleet"), timeout=10)
try:
    check(HealthRequest(service="no.such.Service"), timeout=10)
    unknown = "OK"
except grpc.RpcError as error:
    unknown = error.code().name

ReflectionRequest = message("grpc.reflection.v1.ServerReflectionRequest")
ReflectionResponse = message("grpc.reflection.v1.ServerReflectionResponse")
reflect = stream_method(
    channel, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", ReflectionRequest, ReflectionResponse)
answers = list(reflect(
    iter([ReflectionRequest(list_services=""), ReflectionRequest(file_containing_symbol="ebpfmon.v1.Batch")]),
    timeout=10))
services = [service.name for service in answers[0].list_services_response.service]
reflected = descriptor_pb2.FileDescriptorProto.FromString(answers[1].file_descriptor_response.file_descriptor_proto[0])

AgentMessage = message("ebpfmon.v1.AgentMessage")
ServerMessage = message("ebpfmon.v1.ServerMessage")
requests = queue.Queue()
call = stream_method(channel, "/ebpfmon.v1.Fleet/Stream", AgentMessage, ServerMessage)(
    iter(requests.get, None), timeout=20, metadata=[("authorization", "Bearer " + options["token"])],
    compression=grpc.Compression.Gzip if options.get("gzip") else None)
hello = AgentMessage()
hello.hello.agent_id = options["agent"]
hello.hello.spool_id = bytes(range(16))
requests.put(hello)
welcome = next(call).welcome

sequence = 0
for _ in range(options["batches"]):
    sequence += 1
    request = AgentMessage()
    request.batch.sequence = sequence
    request.batch.lane = 4
    for i in range(options["events"]):
        number = (sequence - 1) * options["events"] + i
        event = request.batch.events.add()
        event.type = 2
        event.severity = 4
        event.ts_ns = number + 1
        event.comm = "c-core"
        event.process_exit.exit_code = number % 256
    requests.put(request)
acknowledged = 0
while acknowledged < sequence:
    for position in next(call).ack.acknowledged:
        acknowledged = max(acknowledged, position.sequence)
requests.put(None)
rest = len(list(call))
print(json.dumps({
    "health": health.status,
    "unknown": unknown,
    "services": services,
    "reflected": reflected.name,
    "window": welcome.window_bytes,
    "acknowledged": acknowledged,
    "rest": rest,
    "status": call.code().name,
}))
