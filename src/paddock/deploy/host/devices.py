"""Facts about accelerators and the software that drives them: Ascend and NVIDIA.

None means that the host did not say. ``*_mb`` are the megabytes that the vendor's tool prints
(2**20 bytes), ``*_percent`` 0 to 100.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from paddock.deploy.host.machine import DeviceNode


@dataclass(frozen=True, slots=True)
class NpuProcess:
    """A process on a chip, from the second table of ``npu-smi info``."""

    pid: int | None
    name: str | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NpuBoard:
    """``npu-smi info -t board -i N``: the card, its firmware and its ids on the PCI bus."""

    product: str | None = None
    model: str | None = None
    manufacturer: str | None = None
    software_version: str | None = None
    firmware_version: str | None = None
    compatibility: str | None = None
    board_id: str | None = None
    bus_id: str | None = None
    pci_vendor: str | None = None
    pci_device: str | None = None
    chip_count: int | None = None


@dataclass(frozen=True, slots=True)
class NpuUsages:
    """``npu-smi info -t usages -i N``. A 910A has DDR beside its HBM; later chips print 0."""

    ddr_capacity_mb: int | None = None
    ddr_percent: int | None = None
    hbm_capacity_mb: int | None = None
    hbm_percent: int | None = None
    ai_core_percent: int | None = None
    ai_cpu_percent: int | None = None
    control_cpu_percent: int | None = None
    ddr_bandwidth_percent: int | None = None
    hbm_bandwidth_percent: int | None = None


@dataclass(frozen=True, slots=True)
class NpuEcc:
    """``npu-smi info -t ecc -i N``: memory errors counted since the driver was loaded."""

    ddr_single_bit: int | None = None
    ddr_double_bit: int | None = None
    hbm_single_bit: int | None = None
    hbm_double_bit: int | None = None
    hbm_single_bit_isolated_pages: int | None = None
    hbm_double_bit_isolated_pages: int | None = None


@dataclass(frozen=True, slots=True)
class NpuHealth:
    """``npu-smi info -t health -i N -c M``: status, code and what the driver says of it."""

    status: str | None = None
    error_code: str | None = None
    error_information: str | None = None


@dataclass(frozen=True, slots=True)
class Npu:
    """One Ascend chip (a die where a card has two), as ``npu-smi`` and the PCI bus show it.

    ``npu`` is npu-smi's NPU ID (the card: 0, 1, or 0, 32, 32768 on a host with sparse ids),
    ``chip`` the number within the card, ``logic_id`` what programs call it and
    ``physical_id`` the N of /dev/davinciN where npu-smi tells it. ``name`` is the text printed
    (``910A``, ``910B4``, ``310P3``, ``Ascend910`` on the A3: decide by ``pci_device``, never by
    name alone). ``pci_device`` is lower-case hexadecimal without 0x (``d802``).
    ``health`` is the text printed (``OK``, ``Warning``, ``Alarm``, ``Critical``, ``UNKNOWN``).
    ``memory_*`` is DDR or, on chips without HBM, the only memory. ``processes`` is None where the
    table does not speak of this chip: then nobody knows, which is not the same as none.
    """

    npu: int
    chip: int | None = None
    logic_id: int | None = None
    physical_id: int | None = None
    name: str | None = None
    bus_id: str | None = None
    pci_device: str | None = None
    health: str | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    utilization_percent: float | None = None
    memory_used_mb: int | None = None
    memory_total_mb: int | None = None
    hbm_used_mb: int | None = None
    hbm_total_mb: int | None = None
    hugepages_used: int | None = None
    hugepages_total: int | None = None
    processes: tuple[NpuProcess, ...] | None = None
    board: NpuBoard | None = None
    usages: NpuUsages | None = None
    ecc: NpuEcc | None = None
    health_detail: NpuHealth | None = None

    @property
    def device_memory_mb(self) -> int | None:
        """Size of the memory that models live in: HBM where there is any, else DDR."""
        return self.hbm_total_mb or self.memory_total_mb


@dataclass(frozen=True, slots=True)
class NpuSmi:
    """The ``npu-smi`` program. ``error`` is what it printed where it could not look.

    ``version`` is the tool's, ``driver_version`` the one it prints beside it. ``code`` is the
    number after "ret is" (``-8005``, ``-8020``), None where it printed none.
    """

    path: str | None = None
    version: str | None = None
    driver_version: str | None = None
    exit_code: int | None = None
    error: str | None = None
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Component:
    """One installed part of the Ascend software, from its own version files.

    ``kind`` is ``driver``, ``firmware``, ``toolkit``, ``nnae``, ``nnrt``, ``kernels``, ``nnal`` or
    ``mindie``. ``version`` is the release as people write it (``8.2.RC1``, ``25.0.rc1.1``),
    ``number`` the dotted one where files print another (``8.2.0.0.201``). ``inner_version`` and
    ``compatible`` are the families the pairing rule compares (``V100R001C21SPC002B220``,
    ``V100R001C17`` ...); ``compatible_firmware`` and ``compatible_driver`` are intervals as
    printed (``[7.0.0,7.7.99]``); ``requires`` are the ``required_package_*_version`` lines without
    prefix and suffix. ``socs`` are the chips that kernels or a toolkit have binaries for
    (``ascend910``, ``ascend910b``). ``active`` marks the one behind ``latest`` or the environment.
    ``modified`` is when the version file was written, in seconds since 1970.
    """

    kind: str
    path: str
    version: str | None = None
    number: str | None = None
    inner_version: str | None = None
    compatible: tuple[str, ...] = ()
    compatible_firmware: str | None = None
    compatible_driver: str | None = None
    requires: dict[str, str] = field(default_factory=dict)
    arch: str | None = None
    socs: tuple[str, ...] = ()
    active: bool = False
    modified: float | None = None


@dataclass(frozen=True, slots=True)
class PlatformConfig:
    """``platform_config/<SoC>.ini`` of a toolkit: what CANN itself believes about a chip.

    ``cube_mhz`` is the clock of the matrix unit, ``memory_bytes`` its memory, ``ddr_rate`` the
    memory's bytes per clock cycle as the file has it.
    """

    soc: str
    path: str
    ai_cores: int | None = None
    vector_cores: int | None = None
    cube_mhz: int | None = None
    memory_bytes: int | None = None
    ddr_rate: int | None = None
    l2_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class HccnPort:
    """A chip's own network port: what /etc/hccn.conf sets and what hccn_tool says of it.

    ``link`` is ``UP`` or ``DOWN``; ``health`` is the text after ``net health status:``;
    ``live_address`` and ``live_netmask`` are what the port really has.
    """

    device: int
    address: str | None = None
    netmask: str | None = None
    gateway: str | None = None
    netdetect: str | None = None
    live_address: str | None = None
    live_netmask: str | None = None
    link: str | None = None
    health: str | None = None


@dataclass(frozen=True, slots=True)
class Rank:
    """One line of a rank table: ``rank`` runs on ``device`` of ``server``."""

    rank: int
    device: int
    device_address: str | None = None
    server: str | None = None


@dataclass(frozen=True, slots=True)
class RankTable:
    """A rank table file of HCCL. ``version`` is ``1.0``, or None for the older form."""

    path: str
    version: str | None = None
    status: str | None = None
    ranks: tuple[Rank, ...] = ()


@dataclass(frozen=True, slots=True)
class Install:
    """An installation that a driver or firmware package logged, by the host's own clock.

    ``package`` is ``Driver`` or ``Firmware``; ``finished`` is ``2025-07-17 10:36:24``;
    ``reboot`` tells whether it asked for one, None where it did not say.
    """

    package: str
    finished: str
    reboot: bool | None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """``npu-smi info -t topo``: ``links[i][j]`` joins devices i and j (``HCCS``, ``PIX``)."""

    devices: tuple[str, ...] = ()
    links: tuple[tuple[str, ...], ...] = ()
    cpu_affinity: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Ascend:
    """Everything of Ascend's on a host. ``install_info`` is /etc/ascend_install.info verbatim.

    ``scripts`` are the set_env.sh files found; whether one was sourced shows in
    ``Host.environment`` (ASCEND_HOME_PATH, ATB_HOME_PATH). ``namespace`` is
    /proc/uda/namespace_node, which namespace holds which card: read only where npu-smi was told
    that a card is taken (-8020), because reading it makes the driver drop dead namespaces.
    ``paths`` are the folders and files of the driver's that containers are given, as far as they
    are there; None where nobody looked or there are none.
    """

    npu_smi: NpuSmi | None = None
    npus: tuple[Npu, ...] = ()
    topology: Topology | None = None
    nodes: tuple[DeviceNode, ...] = ()
    components: tuple[Component, ...] = ()
    install_info: dict[str, str] = field(default_factory=dict)
    hccn: tuple[HccnPort, ...] = ()
    rank_tables: tuple[RankTable, ...] = ()
    installs: tuple[Install, ...] = ()
    scripts: tuple[str, ...] = ()
    platform: tuple[PlatformConfig, ...] = ()
    docker_runtime: str | None = None
    namespace: str | None = None
    paths: tuple[str, ...] | None = None

    def component(self, kind: str) -> Component | None:
        """The active component of a kind, else the only one, else None."""
        found = [c for c in self.components if c.kind == kind]
        active = [c for c in found if c.active]
        return active[0] if active else found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU from nvidia-smi's query form; fields as it names them."""

    index: int
    name: str | None = None
    uuid: str | None = None
    bus_id: str | None = None
    memory_total_mb: int | None = None
    memory_used_mb: int | None = None
    memory_free_mb: int | None = None
    utilization_percent: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    compute_capability: str | None = None
    ecc_uncorrected: int | None = None
    mig: str | None = None
    persistence: str | None = None


@dataclass(frozen=True, slots=True)
class Nvidia:
    """NVIDIA's driver and tools. ``cuda_version`` is the newest that the driver can run.

    ``cdi`` are the device names in the Container Device Interface files; ``error`` is what
    nvidia-smi printed where it could not look.
    """

    driver_version: str | None = None
    cuda_version: str | None = None
    gpus: tuple[Gpu, ...] = ()
    nodes: tuple[DeviceNode, ...] = ()
    cdi: tuple[str, ...] = ()
    cdi_files: tuple[str, ...] = ()
    container_toolkit: str | None = None
    smi_path: str | None = None
    exit_code: int | None = None
    error: str | None = None
