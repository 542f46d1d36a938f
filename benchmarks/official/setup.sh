#!/bin/sh
# Makes a virtual environment with segment-anything 1.0 from PyPI, to compare samkit with.
#
#     sh benchmarks/official/setup.sh FOLDER [TORCH_VERSION]
#     export SAMKIT_OFFICIAL_PYTHON=FOLDER/bin/python
#
# torchvision is not installed: the few functions that are called of it stand beside this script.
set -eu
folder=${1:?name the folder of the new environment}
torch=${2:-2.13.0}
here=$(cd "$(dirname "$0")" && pwd)
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet "torch==$torch" numpy "pillow>=13" pycocotools \
    opencv-python-headless
"$folder/bin/python" -m pip install --quiet --no-deps "segment-anything==1.0"
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$here" > "$site/torchvision_stub.pth"
"$folder/bin/python" -c 'import segment_anything, torch; print("segment-anything ready, torch", torch.__version__)'
