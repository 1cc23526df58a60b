"""Makes message classes of protobuf descriptors that are shipped beside the code that uses them."""

from functools import cache

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message


@cache
def message(shipped: str, name: str) -> type[Message]:
    """Return the class of a message by its full name; `shipped` is a descriptor set's path.

    Raises `KeyError` for a name that is not in it.
    """
    return message_factory.GetMessageClass(_pool(shipped).FindMessageTypeByName(name))


@cache
def _pool(shipped: str) -> descriptor_pool.DescriptorPool:
    # An own pool: whatever else is loaded may know the same names by fuller definitions.
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet()
    with open(shipped, "rb") as data:
        files.ParseFromString(data.read())
    for file in files.file:
        pool.Add(file)
    return pool
