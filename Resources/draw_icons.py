"""Draw the icons of the module and of the extension with ``python Resources/draw_icons.py``.

Four outlines, one a member, that agree on most of a shape and part where it glows.
"""

import math
import os
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import (
    QBrush,
    QColor,
    QGuiApplication,
    QImage,
    QPainter,
    QPainterPath,
    QPen,
    QPolygonF,
    QRadialGradient,
)

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    ROOT / "FedCrossSlicer" / "Resources" / "Icons" / "FedCrossSlicer.png": 128,
    ROOT / "Resources" / "FedCrossSlicer.png": 128,
}
MEMBERS = ("#4cc9a7", "#5aa9f2", "#b58cf0", "#e8ecf4")
GLOW = ((0.0, "#fff3b0"), (0.3, "#ffb347"), (0.65, "#b3e0345c"), (1.0, "#00801060"))  # (a)rgb
POINTS = 180
GLOW_DIRECTION = math.radians(48)  # lower right, y pointing down


def outline(member: int) -> QPainterPath:
    """One member's outline in the unit square: all alike but towards the glow."""
    points = []
    for step in range(POINTS):
        angle = 2 * math.pi * step / POINTS
        turn = (angle - GLOW_DIRECTION + math.pi) % (2 * math.pi) - math.pi
        towards = math.exp(-(turn**2) / 0.5)
        radius = 0.29 + 0.03 * math.cos(2 * angle) + towards * (-0.055 + 0.055 * member)
        points.append(QPointF(0.46 + radius * math.cos(angle), 0.46 + radius * math.sin(angle)))
    path = QPainterPath()
    path.addPolygon(QPolygonF([*points, points[0]]))
    path.closeSubpath()
    return path


def draw(size: int) -> QImage:
    """The icon as an image of `size` pixels."""
    image = QImage(size, size, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(size, size)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor("#1b2333"))
    painter.drawRoundedRect(QRectF(0.02, 0.02, 0.96, 0.96), 0.18, 0.18)
    centre = QPointF(0.46 + 0.31 * math.cos(GLOW_DIRECTION), 0.46 + 0.31 * math.sin(GLOW_DIRECTION))
    glow = QRadialGradient(centre, 0.3)
    for position, color in GLOW:
        glow.setColorAt(position, QColor(color))
    painter.setBrush(QBrush(glow))
    painter.drawEllipse(centre, 0.3, 0.3)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for member, color in enumerate(MEMBERS):
        painter.setPen(QPen(QColor(color), 0.033))
        painter.drawPath(outline(member))
    painter.end()
    return image


def main() -> None:
    """Write the files."""
    application = QGuiApplication([])  # must live while there are images
    for path, size in FILES.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(size).save(str(path))
    application.quit()


if __name__ == "__main__":
    main()
