"""The codes of servers and drivers for errors of each reason: one table, with a row for each reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...database import DatabaseError


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """The codes of one reason: of servers, and of drivers that have codes or classes of their own.

    Attributes:
        sqlstate: SQLSTATEs, and classes of them (two characters) for all states of a class that no row names.
        sqlite: Primary result codes of SQLite.
        mysql: Error numbers of MySQL and MariaDB, of the server below 2000 and from 3000, of the client from 2000.
        sql_server: Error numbers of Microsoft's SQL Server.
        oracle: Error numbers of Oracle (ORA), without the prefix.
        oracle_driver: Error numbers of python-oracledb (DPY), without the prefix.
        classes: Names of exception classes, of drivers that have no codes and of PEP 249.
    """

    sqlstate: str = ""
    sqlite: str = ""
    mysql: str = ""
    sql_server: str = ""
    oracle: str = ""
    oracle_driver: str = ""
    classes: str = ""


# SQLSTATE: ISO/IEC 9075-2, table 38; https://www.postgresql.org/docs/current/errcodes-appendix.html; HY and 08S01 are
#   ODBC's, https://learn.microsoft.com/sql/odbc/reference/appendixes/appendix-a-odbc-error-codes
# SQLite: https://www.sqlite.org/rescode.html
# MySQL: https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html, client-error-reference.html
# MariaDB: https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference
# SQL Server: https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors
# Oracle: https://docs.oracle.com/error-help/db/
# python-oracledb: https://github.com/oracle/python-oracledb/blob/main/src/oracledb/errors.py
# DuckDB: https://duckdb.org/docs/stable/clients/python/reference, the exceptions
CODES: dict[DatabaseError, Codes] = {
    "integrity": Codes(
        sqlstate="23 40002 44",
        sqlite="19",
        mysql="1022 1048 1062 1169 1216 1217 1263 1364 1451 1452 1526 1557 1586 1761 1762 1859 3819 4025",
        sql_server="515 547 2601 2627",
        oracle="1 1400 1407 2290-2292",
        classes="ConstraintException IntegrityError",
    ),
    "deadlock": Codes(
        sqlstate="40P01",
        mysql="1213 1614",
        sql_server="1205",
        oracle="60 104 4020",
    ),
    "serialization": Codes(
        sqlstate="40001",
        mysql="1020 3101",  # 1020: MariaDB's innodb_snapshot_isolation; 3101: a conflict between members of a group
        sql_server="3960 41301 41302 41305 41325",
        oracle="8177",
    ),
    "statement_timeout": Codes(
        sqlstate="HYT00",
        mysql="1969 3024",
        oracle="40",
        oracle_driver="4024",
    ),
    "lock_timeout": Codes(
        sqlstate="55P03",
        sqlite="5 6 15",
        mysql="1205 1689 3572",
        sql_server="1222",
        oracle="54 4021 30006",
    ),
    "disconnect": Codes(
        sqlstate="08 25P03 25P04 57P01 57P02 57P04 57P05",
        mysql="1053 1080 1152 1158-1161 1184 1927 2006 2013 2055 3169 4031",
        sql_server="596 6005 10053 10054",
        oracle="28 31 45 1012 1041 1089 1092 2396 2399 3113 3114 3135 12153 12537 12547 12570 12571 12583 25408",
        oracle_driver="1001 4011",
    ),
    "cancelled": Codes(
        sqlstate="HY008",
        sqlite="4 9",
        mysql="1317",
        oracle="1013",
        classes="InterruptException",
    ),
    "syntax": Codes(
        sqlstate="3F 42",
        sqlite="1",
        mysql="1050-1052 1054-1056 1058 1060 1061 1063-1066 1072 1075 1091 1103 1109-1112 1115 1120 1128 1136 1146 1149"
        " 1176 1193 1222 1241 1247 1248 1304 1305 1318 1327 1356 1415 1582-1584 1630",
        sql_server="101-219 1032-1088 2714 2812 3701 4104 4121 4145 8120 8144 8145 8155 8156 8178",
        oracle="900-989 991-1000 1006-1008 1036 1408 1418 1430 1442 1451 1747 1756 1789 1790 2289 2443 4043 6550 6553",
        oracle_driver="4008-4010",
        classes="BinderException CatalogException ParserException ProgrammingError SyntaxException",
    ),
    "permission": Codes(
        sqlstate="25006 28 42501",
        sqlite="3 8 23",
        mysql="1036 1044 1045 1130-1133 1141-1143 1147 1227 1290 1370 1410 1449 1698 1792 1820 1836 1862 3118 3159"
        " 4151",
        sql_server="229 230 262 297 300 916 978 3906 4064 15247 18452 18456 18470 18486-18488",
        oracle="990 1017 1031 1045 1456 1749 16000 28000 28001 41900",
        oracle_driver="4001",
        classes="PermissionException",
    ),
    "data": Codes(
        sqlstate="21 22",
        sqlite="18 20 25",
        mysql="1153 1172 1242 1264-1266 1292 1365-1367 1406 1411 1416 1426 1427 1439 1441 1690 3140",
        sql_server="220 232 241 242 244 245 248 295 512 2628 8114 8115 8134 8152",
        oracle="1401 1426 1427 1438 1476 1481 1489 1722 1830-1899 6502 12899 22835",
        classes="ConversionException DataError OutOfRangeException OverflowError TypeMismatchException UnicodeError",
    ),
    "connect": Codes(
        sqlstate="08001 08004 3D 53300 57P03 HYT01",
        sqlite="14 26",
        mysql="1040 1042 1043 1046 1049 1129 1203 1226 1251 2001-2005 2012 2026 2059",
        sql_server="911 4060 10928 10929 17809 40197 40501 40613",
        oracle="18 20 1033 1034 1090 2391 3136 12154 12170 12505 12514 12516 12518-12520 12526-12528 12541-12545 12560",
        oracle_driver="4000 4005 6000-6999",
        classes="ConnectionException",
    ),
}
"""The codes of each reason; what has none of these is told by its phase or a lost connection, else it is ``other``."""


def expand(codes: str) -> Iterator[str]:
    """Yield each code of a text of codes and of ranges of numbers, such as ``7 12-14``."""
    for code in codes.split():
        first, _, last = code.partition("-")
        yield from (str(number) for number in range(int(first), int(last) + 1)) if last else [code]


def reasons_by_code(column: str) -> dict[str, DatabaseError]:
    """Return the reason of each code in a column of the table."""
    return {code: reason for reason, codes in CODES.items() for code in expand(getattr(codes, column))}


BY_SQLSTATE = reasons_by_code("sqlstate")
BY_SQLITE_CODE = reasons_by_code("sqlite")
BY_MYSQL_NUMBER = reasons_by_code("mysql")
BY_SQL_SERVER_NUMBER = reasons_by_code("sql_server")
BY_ORACLE_NUMBER = reasons_by_code("oracle")
BY_ORACLE_DRIVER_NUMBER = reasons_by_code("oracle_driver")
BY_CLASS = reasons_by_code("classes")
