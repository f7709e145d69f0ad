from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PredictRequest(_message.Message):
    __slots__ = ("image_data", "enable_timing")
    IMAGE_DATA_FIELD_NUMBER: _ClassVar[int]
    ENABLE_TIMING_FIELD_NUMBER: _ClassVar[int]
    image_data: bytes
    enable_timing: bool
    def __init__(self, image_data: _Optional[bytes] = ..., enable_timing: bool = ...) -> None: ...

class TimingInfo(_message.Message):
    __slots__ = ("component", "duration_ms")
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    component: str
    duration_ms: float
    def __init__(self, component: _Optional[str] = ..., duration_ms: _Optional[float] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("result", "timing_info")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TIMING_INFO_FIELD_NUMBER: _ClassVar[int]
    result: str
    timing_info: _containers.RepeatedCompositeFieldContainer[TimingInfo]
    def __init__(self, result: _Optional[str] = ..., timing_info: _Optional[_Iterable[_Union[TimingInfo, _Mapping]]] = ...) -> None: ...
